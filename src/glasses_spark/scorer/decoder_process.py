"""Decoder process: another interpreter that decodes photographs, one at a time.

The PNG decoder holds Python's lock for two fifths of its time, so threads alone cannot keep all
cores busy. The other process runs this module as a program.
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO, Final, Self, cast

import numpy as np

from glasses_spark.preprocessing.decoding.batches import FAILED, configure_worker
from glasses_spark.scorer.photo import Photo, decode_file

Decode = Callable[[str], Photo]

_READY: Final = b"\1"

_LENGTH: Final = struct.Struct(">I")

# Whether the file was decoded, and the number of bytes that follow.
_ANSWER: Final = struct.Struct(">?I")

# How often a file is tried: a process that was killed may have died for another reason.
_ATTEMPTS: Final = 2


class DecoderProcess:
    """A process that decodes files, as a context manager. One thread at a time may use it.

    It is a plain interpreter, not one of multiprocessing: "spawn" would run the caller's script
    again, and "fork" is unsafe after OpenVINO has started threads.

    Args:
        height: Rows of the pixels.
        width: Columns of the pixels.

    Raises:
        OSError: The process cannot be started.
    """

    def __init__(self, height: int, width: int) -> None:
        self._size = height, width
        self._process = self._start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self._end()

    def kill(self) -> None:
        """End the process, also while another thread waits until it is ready."""
        self._process.kill()

    def wait_until_ready(self) -> None:
        """Wait for the imports of the process; called once, before any file.

        Raises:
            OSError: It ended before.
        """
        if self._answers.read(len(_READY)) != _READY:
            raise OSError(f"a process that decodes ended with {self._end()}")

    def decode(self, name: str) -> Photo:
        """Decode a file.

        Args:
            name: Its path.

        Returns:
            The photograph, with an error if the process ended twice while it decoded the file.
        """
        end = ""
        for _ in range(_ATTEMPTS):
            try:
                return self._ask(name)
            except EOFError:
                end = self._end()
            try:
                self._process = self._start()
                self.wait_until_ready()
            except OSError as error:
                return Photo(name, error=f"{FAILED}: {error}")
        return Photo(name, error=f"{FAILED}: its process ended with {end}")

    @property
    def _answers(self) -> BinaryIO:
        return cast(BinaryIO, self._process.stdout)

    @property
    def _requests(self) -> BinaryIO:
        return cast(BinaryIO, self._process.stdin)

    def _ask(self, name: str) -> Photo:
        path = os.fsencode(name)
        try:
            self._requests.write(_LENGTH.pack(len(path)) + path)
            self._requests.flush()
        except BrokenPipeError:
            raise EOFError from None
        is_decoded, length = _ANSWER.unpack(_read(self._answers, _ANSWER.size))
        content = _read(self._answers, length)
        if not is_decoded:
            return Photo(name, error=content.decode(errors="surrogateescape"))
        return Photo(name, np.frombuffer(content, np.uint8).reshape(self._size))

    def _start(self) -> subprocess.Popen[bytes]:
        search_path = os.pathsep.join(entry for entry in sys.path if entry)
        module = "glasses_spark.scorer.decoder_process"
        return subprocess.Popen(
            [sys.executable, "-P", "-m", module, *map(str, self._size)],
            stdin=subprocess.PIPE,  # its end ends the process, also if this one was killed
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": search_path},
            start_new_session=True,  # Ctrl-C must not reach it
        )

    def _end(self) -> str:
        """Wait for the end of the process; return its signal or exit code as text."""
        with suppress(BrokenPipeError):
            self._requests.close()
        self._answers.close()
        code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"


def serve(decode: Decode, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer requests for files until they end.

    Args:
        decode: Decodes a file.
        requests: Length and path of each file.
        answers: Takes whether each one was decoded, and the length and bytes of the pixels or of
            the error.
    """
    answers.write(_READY)
    answers.flush()
    while True:
        try:
            (length,) = _LENGTH.unpack(_read(requests, _LENGTH.size))
            name = os.fsdecode(_read(requests, length))
        except EOFError:
            return
        photo = decode(name)
        if photo.pixels is None:
            content = (photo.error or "").encode(errors="surrogateescape")
        else:
            content = photo.pixels.tobytes()
        answers.write(_ANSWER.pack(photo.pixels is not None, len(content)) + content)
        answers.flush()


def _read(stream: BinaryIO, size: int) -> bytes:
    content = stream.read(size)
    if len(content) < size:
        raise EOFError
    return content


def _main() -> None:
    height, width = map(int, sys.argv[1:])
    configure_worker()
    # What a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(lambda name: decode_file(name, height=height, width=width), sys.stdin.buffer, answers)


if __name__ == "__main__":
    _main()
