"""The one exception that stands for 'the user can mend this'."""

MAX_SEED = 2**32 - 1
INTERRUPTED = 75  # exit status: saved, can go on; EX_TEMPFAIL of sysexits.h


class UserError(Exception):
    """Something the caller can cause and mend: bad input, bad config, a missing file.

    The message says what came, what is valid and what to do. The command line prints it
    without a traceback and exits with status 2.

    Attributes:
        in_flags: the message for the command line, if it differs from the one for Python.
    """

    in_flags: str | None = None


class TrainerError(UserError):
    """A UserError of one trainer that has not found the others.

    Other UserErrors are raised on all trainers alike, and only the first one prints them.
    """


class Interrupted(Exception):
    """The run was cut short, and is saved; the command line exits with status INTERRUPTED.

    Nothing is to be mended, so it is no UserError, and passes by who explains those.
    """


class SavedForAll(Interrupted):
    """Of the one trainer that saved for all; whichever it is, it says so."""


def explain(error: UserError | OSError) -> str:
    """An error as a message to the user."""
    if isinstance(error, UserError):
        return str(error)
    return f"cannot write or read {error.filename or 'a file'}: {error.strerror or error}"


def check_seed(seed: int) -> None:
    """Raises UserError for a seed that not every random generator in use takes."""
    if not 0 <= seed <= MAX_SEED:
        raise UserError(f"seed is {seed}; it must be from 0 to {MAX_SEED}")


def nearest(word: str, valid: list[str]) -> str:
    """The tail of an error about an unknown word: the valid ones, and the likeliest one meant."""
    from difflib import get_close_matches

    close = get_close_matches(word, valid, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"valid: {', '.join(valid)}{hint}"
