"""Sorting more edges, and moving more rows, than memory holds."""
