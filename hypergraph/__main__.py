"""`python -m hypergraph` is its command line."""

from hvdtma.cli import run_app
from hypergraph.cli import app

run_app(app)
