"""Tests for glasses_spark.preprocessing.decoding.batches, without Spark."""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pyarrow as pa
import pytest

from glasses_spark.errors import DecodeError
from glasses_spark.preprocessing.decoding.batches import (
    SOURCE,
    decode_column,
    make_decoder,
    read_path,
    view_bytes,
)
from glasses_spark.reasons import Reason, reason_of
from tests.faces import encode_png, noise_png

BLACK = encode_png(np.zeros((4, 4), np.uint8))
WHITE = encode_png(np.full((4, 4), 255, np.uint8))


def batch_of(source: list[bytes] | list[str]) -> pa.RecordBatch:
    kind = pa.string() if isinstance(source[0], str) else pa.binary()
    ids = pa.array(range(len(source)), pa.int32())
    return pa.RecordBatch.from_arrays([ids, pa.array(source, kind)], names=["id", SOURCE])


def test_batches_of_bytes_are_decoded() -> None:
    decode_batches = make_decoder(2, 2, from_paths=False)

    batches = list(decode_batches([batch_of([BLACK, b"text"]), batch_of([WHITE])]))

    assert [batch.to_pylist() for batch in batches] == [
        [
            {"id": 0, "pixels": bytes(4), "error": None},
            {"id": 1, "pixels": None, "error": "not a PNG file (starts with b'text')"},
        ],
        [{"id": 0, "pixels": b"\xff" * 4, "error": None}],
    ]


def test_files_are_opened_and_their_state_is_added(tmp_path: Path) -> None:
    path = tmp_path / "a b.png"
    path.write_bytes(WHITE)
    os.utime(path, ns=(0, 1_234_567_890_987_654_321))
    decode_batches = make_decoder(
        1, 1, from_paths=True, state_columns=["modificationTime", "length"]
    )

    (batch,) = decode_batches([batch_of([f"file:{path}", f"file:{tmp_path}/none.png"])])

    assert batch.to_pylist() == [
        {
            "id": 0,
            # Java has whole milliseconds.
            "modificationTime": datetime.fromtimestamp(1_234_567_890, UTC).replace(
                microsecond=987_000
            ),
            "length": len(WHITE),
            "pixels": b"\xff",
            "error": None,
        },
        {
            "id": 1,
            "modificationTime": None,
            "length": None,
            "pixels": None,
            "error": "cannot be read: No such file or directory",
        },
    ]


def test_one_bad_file_does_not_affect_the_others() -> None:
    column = pa.array([noise_png(), b"", None, noise_png()], pa.binary())

    pixels, errors = decode_column(column, 8, 8, view_bytes)

    assert errors == [None, "empty file", "empty file", None]
    assert [row is None for row in pixels] == [False, True, True, False]


def test_a_folder_a_pipe_and_a_missing_file_are_errors(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for name, reason in [
        ("", "cannot be read: not a regular file"),
        ("/pipe.png", "cannot be read: not a regular file"),
        ("/none.png", "cannot be read: No such file"),
    ]:
        with pytest.raises(DecodeError, match=reason):
            read_path(pa.scalar(f"file:{tmp_path}{name}"))


def test_a_worker_decodes_in_one_thread() -> None:
    threads = cv2.getNumThreads()
    try:
        list(make_decoder(2, 2, from_paths=False)([batch_of([BLACK])]))
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(threads)


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (MemoryError(), "the decoder failed: MemoryError"),
        (cv2.error("a\nb"), "the decoder failed: error: a b"),
        (ValueError("x" * 999), "the decoder failed: ValueError: x+"),
    ],
)
def test_any_exception_on_one_file_is_its_reason(failure: Exception, reason: str) -> None:
    def read(value: pa.Scalar) -> bytes:
        if value.as_py() == "bad":
            raise failure
        return BLACK

    pixels, errors = decode_column(pa.array(["good", "bad", "good"]), 2, 2, read)

    assert pixels == [bytes(4), None, bytes(4)]
    assert errors[0] is None
    assert errors[2] is None
    assert re.fullmatch(reason, str(errors[1]))
    assert len(str(errors[1])) <= 200
    assert reason_of(str(errors[1])) is Reason.DECODER_FAILED
