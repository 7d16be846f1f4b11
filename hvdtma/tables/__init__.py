"""Tables of people: text, Parquet and NumPy files, read in pieces by column."""
