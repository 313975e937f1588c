"""From records to a table that SQL can read: directly where the file is proven plain, else through a working file."""
