"""The functions that `hvdtma` exports; the command line calls the same ones."""
