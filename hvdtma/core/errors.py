"""Errors that the user can correct, and the exit status of an interrupted run."""

from difflib import get_close_matches

MAX_SEED = 2**32 - 1
INTERRUPTED = 75  # exit status of a run that is saved and can be resumed; EX_TEMPFAIL of sysexits.h


class UserError(Exception):
    """An error that the user can correct: bad input, a bad config, a missing file.

    The message names the value that was given, the valid values and what to do. The command line
    prints the message without a traceback and exits with status 2.

    Attributes:
        in_flags: the message for the command line, if it differs from the one for Python.
    """

    in_flags: str | None = None


class TrainerError(UserError):
    """A UserError of a single trainer: every trainer that meets one prints it.

    All other UserErrors are raised on all trainers alike, and only the first trainer prints them.
    """


class Interrupted(Exception):
    """The run was interrupted and is saved; the command line exits with status INTERRUPTED.

    No UserError: there is nothing to correct, and code that reports UserErrors lets it pass.
    """


class SavedForAll(Interrupted):
    """Raised on the trainer that saved the run for all; only this trainer reports it."""


def explain(error: UserError | OSError) -> str:
    """The message of an error for the user."""
    if isinstance(error, UserError):
        return str(error)
    return f"cannot write or read {error.filename or 'a file'}: {error.strerror or error}"


def check_seed(seed: int) -> None:
    """Raise UserError for a seed that one of the random generators in use does not accept."""
    if not 0 <= seed <= MAX_SEED:
        raise UserError(f"seed is {seed}; it must be from 0 to {MAX_SEED}")


def nearest(word: str, valid: list[str], other: str | None = None) -> str:
    """The end of a message about an unknown word: the valid words, and the most similar one.

    Args:
        other: a description of further valid words, such as "a path".
    """
    close = get_close_matches(word, valid, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"valid: {', '.join(valid)}{f', or {other}' if other else ''}{hint}"
