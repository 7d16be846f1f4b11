"""A run on disk: its folder, lock, events, live view and report."""
