"""The parts of a split, in order."""

PARTS = ("train", "valid", "test")
HELD_OUT_PARTS = ("valid", "test")
