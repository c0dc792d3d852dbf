"""Fuzz target: one way into the library, with legal examples and what may come of any bytes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from random import Random
from typing import Final

from glasses_spark.errors import GlassesSparkError

# Takes the bytes of a stranger; raises nothing, whatever they are.
Check = Callable[[bytes], None]


# Characters. A worker's error may bring a traceback.
LONGEST_MESSAGE: Final = 20_000


@dataclass(frozen=True)
class Target:
    """One way into the library.

    Attributes:
        name: Name on the command line.
        seeds: Returns legal inputs, and illegal ones of interest, to begin with.
        opened: Context manager of the check, which has what it needs while it is open.
        mutate: Changes an input in a way that plain changes of bytes rarely find, such as a
            new checksum after the change; None if there is none.
        any_bytes: Whether plain changes of bytes are tried as well. Not for a format of a library
            in C that may not end on damaged files.
    """

    name: str
    seeds: Callable[[], Sequence[bytes]]
    opened: Callable[[], AbstractContextManager[Check]]
    mutate: Callable[[bytes, Random], bytes] | None = None
    any_bytes: bool = True


def refused(call: Callable[[], object], kind: type[GlassesSparkError] = GlassesSparkError) -> bool:
    """Return whether a call ended in an error of this library, which must say something.

    Any other error is a fault, and passes.
    """
    try:
        call()
    except kind as error:
        message = str(error)
        says_something = 0 < len(message) < LONGEST_MESSAGE
        if not says_something or message.lower().startswith("unexpected"):
            raise AssertionError(f"a message that does not help: {message[:1000]!r}") from error
        return True
    return False


def flipped(data: bytes, chance: Random) -> bytes:
    """Change, insert or remove a few bytes."""
    content = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 16))):
        position = chance.randrange(len(content) + 1)
        match chance.randrange(4):
            case 0 if content:
                content[position % len(content)] ^= 1 << chance.randrange(8)
            case 1 if content:
                content[position % len(content)] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
            case 2:
                content[position:position] = chance.randbytes(chance.choice((1, 2, 4, 9)))
            case _:
                del content[position : position + chance.choice((1, 2, 4, 64))]
    return bytes(content)
