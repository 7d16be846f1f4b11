"""The one exception that stands for 'the user can mend this'."""


class UserError(Exception):
    """Something the caller can cause and mend: bad input, bad config, a missing file.

    The message says what came, what is valid and what to do. The command line prints it
    without a traceback and exits with status 2.
    """


class TrainerError(UserError):
    """A UserError that only one trainer met (a damaged block of its shard, say).

    Other UserErrors are met by all trainers alike, and only the first one prints them.
    """


def nearest(word: str, valid: list[str]) -> str:
    """The tail of an error about an unknown word: the valid ones, and the likeliest one meant."""
    from difflib import get_close_matches

    close = get_close_matches(word, valid, n=1, cutoff=0.5)
    hint = f"; did you mean '{close[0]}'?" if close else ""
    return f"valid: {', '.join(valid)}{hint}"
