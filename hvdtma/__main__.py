"""`python -m hvdtma` is the command `hvdtma`."""

from hvdtma.cli import main

main()
