"""The parts of a split, in order."""

PARTS = ("train", "valid", "test")
