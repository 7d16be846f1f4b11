"""The command line: `hvdtma COMMAND`."""

from hvdtma.core.command_line import run_app


def main() -> None:
    """Run a command of `hvdtma`."""
    from hvdtma.cli.app import app

    run_app(app)
