"""The command line of `python -m hypergraph`."""

from hvdtma.core.command_line import run_app
from hypergraph.cli import app

run_app(app)
