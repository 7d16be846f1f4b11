"""The version of hvdtma; imports nothing."""

__version__ = "0.2.0"
