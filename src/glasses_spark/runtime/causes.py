"""Causes: what an error says in one line, also one that a library has wrapped.

Python workers import this module, so it imports nothing heavy.
"""

from __future__ import annotations

import re
from typing import Final

# Characters of a message that a line shows. Spark's own messages may repeat a whole query plan.
LONGEST: Final = 600

# Colours, with which Keras marks its messages.
_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*m")

# First lines of Keras and TensorFlow that tell nothing about the cause, which comes later.
_KERAS_CALL: Final = "Exception encountered when calling "
_GRAPH: Final = "Graph execution error:"
_ENCOUNTERED: Final = "Error encountered:"


# Where TensorFlow ran an operation.
_NODE: Final = re.compile(r"\{\{function_node [^}]*\}\}\s*|\s*\[Op:\w+\].*")


def describe(error: BaseException) -> str:
    """Return the kind and the cause of an error in one line, such as ``KeyError: 'colour'``."""
    return named(type(error).__name__, str(error))


def named(kind: str, message: str) -> str:
    """Return the kind of an error and the line of its message that tells the cause."""
    line = telling_line(message)
    return f"{kind}: {line}" if line else kind


def telling_line(message: str) -> str:
    """Return the line of a message that tells the cause, shortened; empty for an empty message.

    It is the first one, except in messages of Keras and TensorFlow that begin with the place.
    """
    message = _COLOURS.sub("", message).strip()
    if message.startswith(_GRAPH):
        lines = [line for line in message.splitlines() if line.strip() and not _is_place(line)]
        # Without a cause of its own the message has only its first line.
        message = lines[-1]
    elif message.startswith(_KERAS_CALL):
        _, _, message = message.partition("\n\n")
    if _ENCOUNTERED in message:
        _, _, message = message.partition(_ENCOUNTERED)
    line = next((line.strip() for line in message.splitlines() if line.strip()), "")
    return shortened(_NODE.sub("", line).strip().removesuffix("."))


def shortened(text: str) -> str:
    """Return a text of at most `LONGEST` characters."""
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 4]} ..."


def _is_place(line: str) -> bool:
    """Return whether a line of TensorFlow's message says where, and not what."""
    return line.startswith(("  ", "\t", "Detected at node", "<stack traces")) or "[[{{" in line
