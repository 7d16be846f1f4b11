"""The timed loop, and everything a run leaves behind."""
