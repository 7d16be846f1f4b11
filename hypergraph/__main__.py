"""`python -m hypergraph` is its command line."""

from hvdtma.core.command_line import run_app
from hypergraph.cli import app

run_app(app)
