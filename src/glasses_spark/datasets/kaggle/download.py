"""Download: one file from the web to this disk, taken up again where it broke off."""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final, TypeAlias

import requests

from glasses_spark.errors import FetchError

logger = logging.getLogger(__name__)

# A busy or ailing server: it may answer the next time.
PASSING: Final = frozenset({408, 429, 500, 502, 503, 504})

# In a row, without a byte in between: a long download may break off more often.
MAX_FAILURES: Final = 5
MAX_PAUSE_S: Final = 300.0
_CONNECT_S: Final = 30.0
_DEPTH: Final = 10  # of errors within errors
_SILENCE_S: Final = 60.0  # without a byte
PIECE: Final = 1 << 16  # what a lost connection may cost
Counter: TypeAlias = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


"""Encloses work on so many things, as ``Progress.counter`` does."""


class TryAgain(Exception):
    """This attempt came to nothing; another one may not.

    Attributes:
        after: Seconds to wait before it, where the server has said so.
    """

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


@dataclass(frozen=True)
class _Promise:
    """What the server said of the file: by this a later process knows it again."""

    size: int | None
    validator: str | None
    md5: str | None


def download(
    locate: Callable[[], str],
    path: Path,
    *,
    name: str,
    counter: Counter,
    accept: Callable[[int, int], None] = lambda total, missing: None,
    passing: frozenset[int] = PASSING,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Download a file; what an earlier, broken call has left is kept and completed.

    While it is incomplete it lies at ``PATH.part``, and what is known of it at
    ``PATH.part.json``.

    Args:
        locate: Gives the address, anew for each attempt. It may be signed, so it is
            never shown. May raise TryAgain.
        path: Where to; replaced if it is there.
        name: What is downloaded, for messages.
        counter: Told how many bytes have come.
        accept: Told the size of the file and how much of it is missing, in bytes,
            before any of that is written; raises FetchError to refuse it.
        passing: Answers after which it is tried again.
        pause: Waits so many seconds.

    Raises:
        FetchError: It cannot be had; what has come so far is kept.
    """
    part = _beside(path, ".part")
    failures = 0
    while True:
        before = _size(part)
        try:
            _attempt(locate(), part, name=name, counter=counter, accept=accept, passing=passing)
            part.replace(path)
            _beside(path, ".part.json").unlink(missing_ok=True)
            return
        except TryAgain as error:
            problem = error
        except OSError as error:
            raise FetchError(
                f"{name}: {path} cannot be written ({error.strerror}). Check the disk and the "
                "right to write there"
            ) from None
        # Out here, as nothing that is raised while we wait is to tell of an address.
        failures = 1 if _size(part) > before else failures + 1
        if failures == MAX_FAILURES:
            raise FetchError(
                f"{name}: {problem}, and that {failures} times in a row. Check the network and try "
                "again later; it goes on from what has come"
            )
        wait = min(2.0**failures if problem.after is None else problem.after, MAX_PAUSE_S)
        logger.info("%s: %s; trying again in %.0f s", name, problem, wait)
        pause(wait)


def why(error: BaseException) -> str:
    """Say what is wrong with a connection, without the address that it was to."""
    seen: BaseException | None = error
    for _ in range(_DEPTH):
        if seen is None:
            break
        if isinstance(seen, OSError) and seen.errno and seen.strerror:
            return f"no connection ({seen.strerror})"
        inner = next((one for one in seen.args if isinstance(one, BaseException)), None)
        # urllib3 keeps what happened as `reason`, or as the context of what it raises.
        reason = getattr(seen, "reason", None)
        seen = reason if isinstance(reason, BaseException) else inner or seen.__context__
    return f"the connection was lost ({type(error).__name__})"


def retry_after(headers: Any) -> float | None:
    """Read the header ``Retry-After``: seconds, or a date; None where there is neither."""
    text = headers.get("Retry-After", "")
    if re.fullmatch(r"\d{1,9}", text):
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _attempt(
    url: str,
    part: Path,
    *,
    name: str,
    counter: Counter,
    accept: Callable[[int, int], None],
    passing: frozenset[int],
) -> None:
    """Get what is missing of the part."""
    promise = _read(part)
    start = _size(part) if promise and promise.validator else 0
    if promise and start and start == promise.size:
        return _check(part, promise)
    # No compression: lengths and places are those of the file.
    headers = {"Accept-Encoding": "identity"}
    if start and promise:
        headers |= {"Range": f"bytes={start}-", "If-Range": str(promise.validator)}
    try:
        with requests.get(
            url, headers=headers, stream=True, timeout=(_CONNECT_S, _SILENCE_S)
        ) as response:
            _require_file(response, part, name, passing)
            if response.status_code != requests.codes.partial_content:
                start = 0
            elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                part.unlink(missing_ok=True)
                raise TryAgain("the server sent another part than was asked for")
            promise = _promised(response, start)
            if promise.size is not None:
                accept(promise.size, promise.size - start)
            _receive(response, part, promise, start=start, name=name, counter=counter)
    except (requests.RequestException, ConnectionError, TimeoutError) as error:
        # Not as its cause: it names the address.
        raise TryAgain(why(error)) from None
    if promise.size is not None and _size(part) != promise.size:
        raise TryAgain(f"the connection was lost after {_size(part)} of {promise.size} bytes")
    return _check(part, promise)


def _require_file(
    response: requests.Response, part: Path, name: str, passing: frozenset[int]
) -> None:
    status = response.status_code
    if status in (requests.codes.ok, requests.codes.partial_content):
        return
    said = f"the server answers {status} {response.reason}".rstrip()
    if status == requests.codes.requested_range_not_satisfiable:
        # What lies here is longer than the file: it is begun anew.
        part.unlink(missing_ok=True)
        raise TryAgain(said)
    if status in passing:
        raise TryAgain(said, retry_after(response.headers))
    raise FetchError(f"{name}: {said}. Check the address, or try again later")


def _promised(response: requests.Response, start: int) -> _Promise:
    headers = response.headers
    length = None if headers.get("Content-Encoding") else headers.get("Content-Length")
    md5 = re.search(r"\bmd5=([A-Za-z0-9+/]{22}==)", headers.get("x-goog-hash", ""))
    validator = headers.get("ETag") or headers.get("Last-Modified")
    return _Promise(
        size=start + int(length) if length and length.isdigit() else None,
        # A weak one promises the same meaning, not the same bytes.
        validator=None if validator is None or validator.startswith("W/") else validator,
        md5=base64.b64decode(md5[1]).hex() if md5 else None,
    )


def _receive(
    response: requests.Response,
    part: Path,
    promise: _Promise,
    *,
    start: int,
    name: str,
    counter: Counter,
) -> None:
    if not start:
        # In this order, so that no promise ever stands beside the bytes of another file.
        part.unlink(missing_ok=True)
        _beside(part, ".json").write_text(json.dumps(asdict(promise)), encoding="utf-8")
    if promise.size is not None:
        missing = 1e-6 * (promise.size - start)
        logger.info("Downloading %s: %.1f MB, %.1f MB there already", name, missing, 1e-6 * start)
    with (
        part.open("ab") as file,
        counter(f"Downloading {name}", promise.size or 0) as show,
    ):
        done = start
        show(done)
        for piece in response.iter_content(PIECE):
            file.write(piece)
            done += len(piece)
            show(done)


def _check(part: Path, promise: _Promise) -> None:
    if promise.md5 is None:
        return
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "md5").hexdigest()
    if found != promise.md5:
        part.unlink()
        raise TryAgain(f"what came has the MD5 {found}, not {promise.md5} as the server said")


def _read(part: Path) -> _Promise | None:
    try:
        return _Promise(**json.loads(_beside(part, ".json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
