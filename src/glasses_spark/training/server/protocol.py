"""Protocol: how a worker and the parameter server put a message into bytes.

A message is four bytes with the length of the header, the header as a JSON
object, and a payload of raw numbers whose length the receiver knows beforehand.
Nothing in it can carry code, and no length in it is believed unchecked.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from glasses_spark.errors import TrainingError
from glasses_spark.training.weights import Vector

# Room for the state of many metrics and for a worker's traceback.
MAX_HEADER_BYTES = 4 << 20

# Larger than any count of rows, steps or attempts.
LARGEST_NUMBER = 2**63
_LENGTH = struct.Struct(">I")


class ProtocolError(TrainingError):
    """A message is not what was agreed on."""


class CallEndedError(TrainingError):
    """What a call is about is over: nothing went wrong with the call itself."""


@dataclass(frozen=True)
class Message:
    """A header and, where one is due, a flat vector."""

    header: Mapping[str, Any]
    vector: Vector | None = None

    def whole(self, key: str) -> int:
        """A field that must be a whole number of at least 0."""
        value = self.header.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < LARGEST_NUMBER:
            return value
        raise ProtocolError(f"{key}: expected a whole number of at least 0, got {_brief(value)}")

    def number(self, key: str) -> float:
        """A field that must be a finite number."""
        value = self.header.get(key)
        if isinstance(value, float) and np.isfinite(value):
            return value
        raise ProtocolError(f"{key}: expected a finite number, got {_brief(value)}")

    def text(self, key: str) -> str:
        """A field that must be text."""
        value = self.header.get(key)
        if not isinstance(value, str):
            raise ProtocolError(f"{key}: expected text, got {value!r}")
        return value

    def numbers(self, key: str, length: int) -> Vector:
        """A field that must be a list of so many numbers, as float64."""
        value = self.header.get(key)
        if not isinstance(value, list) or len(value) != length:
            raise ProtocolError(f"{key}: expected a list of {length} numbers, got {_brief(value)}")
        if not all(isinstance(item, float) for item in value):
            raise ProtocolError(f"{key}: expected numbers, got {_brief(value)}")
        return np.asarray(value, np.float64)

    def update(self) -> Vector:
        """The vector, which must be there."""
        if self.vector is None:
            raise ProtocolError("expected a vector of numbers, got none")
        return self.vector


def encode(header: Mapping[str, Any], vector: Vector | None = None) -> bytes:
    """Put a header and a vector into bytes."""
    text = json.dumps(header, separators=(",", ":")).encode()
    numbers = b"" if vector is None else np.ascontiguousarray(vector).data
    return b"".join([_LENGTH.pack(len(text)), text, numbers])


def decode(data: bytes, *, size: int, dtype: str) -> Message:
    """Take a message apart.

    Args:
        data: What came.
        size: Numbers in a payload, where there is one.
        dtype: Their type.

    Raises:
        ProtocolError: The header is cut short, too long or no JSON object, or
            the payload is neither empty nor of the length that was agreed on.
    """
    if len(data) < _LENGTH.size:
        raise ProtocolError(f"expected at least {_LENGTH.size} bytes, got {len(data)}")
    (length,) = _LENGTH.unpack_from(data)
    start = _LENGTH.size + length
    if length > MAX_HEADER_BYTES or start > len(data):
        raise ProtocolError(f"a header of {length} bytes cannot be in {len(data)} bytes")
    try:
        header = json.loads(data[_LENGTH.size : start])
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise ProtocolError(f"expected a JSON object as header, got {_brief(header)}")
    if len(data) == start:
        return Message(header)
    wanted = size * np.dtype(dtype).itemsize
    if len(data) - start != wanted:
        raise ProtocolError(f"expected a payload of {wanted} bytes, got {len(data) - start}")
    return Message(header, np.frombuffer(data, dtype, count=size, offset=start))


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
