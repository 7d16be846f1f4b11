"""Text from a person that becomes a line of a batch script.

A control character would end the line, and the rest would be a line of its own: another option, or
a command that the job runs.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator

CONTROL = ("Cc", "Cs", "Zl", "Zp")  # Unicode: control, undecodable bytes, line, paragraph
OPTION = re.compile(r"[a-z][a-z-]*")


def control_characters(text: str) -> list[str]:
    """The control characters of a text, each once."""
    return sorted({letter for letter in text if unicodedata.category(letter) in CONTROL})


def one_line(text: str) -> str:
    """The text itself. Raises ValueError if it is empty or has control characters."""
    if bad := control_characters(text):
        found = ", ".join(map(repr, bad))
        raise ValueError(f"{text!r} contains {found}; control characters end a line of the script")
    if not text.strip():
        raise ValueError("is empty; leave the option out instead")
    return text


def option_name(name: str) -> str:
    """The name itself. Raises ValueError if it is no long option of sbatch."""
    if not OPTION.fullmatch(name):
        raise ValueError(
            f"{name!r} is no option of sbatch; write a long one without its dashes, such as "
            "reservation"
        )
    return name


Line = Annotated[str, AfterValidator(one_line)]
OptionName = Annotated[str, AfterValidator(option_name)]
