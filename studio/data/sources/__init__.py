"""Files as people have them, brought to UTF-8 text and records: encodings, packings, gzip, the Hub, pasted tables."""
