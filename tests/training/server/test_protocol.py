"""Tests for glasses_spark.training.server.protocol."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import numpy as np
import pytest

from glasses_spark.training.server.protocol import (
    CHUNK_BYTES,
    ProtocolError,
    decode,
    encode,
)
from glasses_spark.training.weights import Vector


def whole(header: dict[str, object], vector: Vector) -> bytes:
    return b"".join(encode(header, vector))


def test_a_decoded_message_equals_the_encoded_one() -> None:
    vector = np.array([1.5, -2.0, 1e-30], np.float32)
    message = decode(encode({"worker": 3, "host": "a"}, vector), size=3, dtype="float32")
    assert message.integer("worker") == 3
    assert message.text("host") == "a"
    assert np.array_equal(message.update(), vector)


def test_a_missing_vector_is_an_error() -> None:
    message = decode(encode({}), size=3, dtype="float32")
    with pytest.raises(ProtocolError, match="expected a vector"):
        message.update()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "at least 4 bytes, got 0"),
        (b"\x00\x00", "at least 4 bytes, got 2"),
        (struct.pack(">I", 2**32 - 1) + b"{}", "a header of 4294967295 bytes"),
        (struct.pack(">I", 3) + b"{}", "a header of 3 bytes does not fit into 6 bytes"),
        (struct.pack(">I", 2) + b"[]", "expected a JSON object"),
        (struct.pack(">I", 2) + b"\xff\xfe", "not JSON"),
        (struct.pack(">I", 100_000) + b"[" * 100_000, "not JSON"),
        (whole({}, np.zeros(2, np.float32)), "expected a payload of 12 bytes, got 8"),
        (whole({}, np.zeros(4, np.float32)), "expected a payload of 12 bytes, got 16"),
    ],
)
def test_malformed_bytes_are_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ProtocolError, match=reason):
        decode([data], size=3, dtype="float32")


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES // 4, 2 * CHUNK_BYTES // 4 + 1])
def test_a_vector_of_any_length_arrives_in_chunks(size: int) -> None:
    vector = np.random.default_rng(0).random(size, np.float32)
    chunks = list(encode({"a": 1}, vector))
    assert all(len(chunk) <= CHUNK_BYTES + 100 for chunk in chunks)
    message = decode(chunks, size=size, dtype="float32")
    assert message.integer("a") == 1
    assert np.array_equal(np.zeros(0) if size == 0 else message.update(), vector)


def test_no_more_numbers_are_read_than_expected() -> None:
    def endless() -> Iterator[bytes]:
        yield from encode({}, np.zeros(2, np.float32))
        while True:
            yield b"0" * 16

    with pytest.raises(ProtocolError, match="expected a payload of 12 bytes, got 24"):
        decode(endless(), size=3, dtype="float32")


@pytest.mark.parametrize("value", [-1, 1.0, True, "1", None])
def test_an_integer_field_accepts_integers_of_at_least_0_only(value: object) -> None:
    message = decode(encode({"epoch": value}), size=0, dtype="float32")
    with pytest.raises(ProtocolError, match="epoch: expected an integer"):
        message.integer("epoch")


@pytest.mark.parametrize("value", [[1.0], [1.0, "2"], "12", None])
def test_a_list_field_accepts_the_expected_count_of_numbers_only(value: object) -> None:
    message = decode(encode({"metrics": value}), size=0, dtype="float32")
    with pytest.raises(ProtocolError, match="metrics: expected"):
        message.numbers("metrics", 2)


@pytest.mark.parametrize("value", [1, "1.0", None, float("inf"), float("nan"), -0.5, 3e38])
def test_a_duration_is_a_float_of_a_possible_length(value: object) -> None:
    message = decode(encode({"seconds": value}), size=0, dtype="float32")
    with pytest.raises(ProtocolError, match="seconds: expected a number of seconds from 0 to"):
        message.seconds("seconds")


def test_a_text_field_accepts_strings_only() -> None:
    message = decode(encode({"host": 1}), size=0, dtype="float32")
    with pytest.raises(ProtocolError, match="host: expected a string, got 1"):
        message.text("host")


@pytest.mark.parametrize("value", [1, "true", None])
def test_a_flag_accepts_true_and_false_only(value: object) -> None:
    message = decode(encode({"wait": value}), size=0, dtype="float32")
    with pytest.raises(ProtocolError, match="wait: expected true or false"):
        message.flag("wait")


@pytest.mark.parametrize("value", [3, [1, -1], [True], [1.0], None])
def test_a_list_of_integers_accepts_integers_of_at_least_0_only(value: object) -> None:
    message = decode(encode({"workers": value}), size=0, dtype="float32")
    with pytest.raises(ProtocolError, match="workers: expected"):
        message.integers("workers")


@pytest.mark.parametrize("value", [[[1]], [1, 2], [[1, -2]], "12", None])
def test_a_list_of_pairs_accepts_pairs_of_integers_only(value: object) -> None:
    message = decode(encode({"random": value}), size=0, dtype="float32")
    with pytest.raises(ProtocolError, match="random: expected"):
        message.pairs("random")


def test_lists_of_integers_and_pairs_are_read() -> None:
    message = decode(encode({"a": [1, 2], "b": [[3, 4]]}), size=0, dtype="float32")
    assert message.integers("a") == (1, 2)
    assert message.pairs("b") == [(3, 4)]
