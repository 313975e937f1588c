"""The pages: one file for each step or page, a shell around them, and the look. Imports the domain, never the other way."""
