"""Read the user's tables: text, Parquet and NumPy files, by column and a few rows at a time."""
