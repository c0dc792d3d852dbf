"""Download of one file from the web, with retries and resumption."""

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
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from glasses_spark.errors import FetchError
from glasses_spark.extras import require_extra

# Imported when it is used: requests is an optional package.
if TYPE_CHECKING:
    import requests

logger = logging.getLogger(__name__)

# Responses of a server that is busy or has failed temporarily.
RETRIED_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504})

# Failures in a row without a byte in between: a long download may be interrupted more often.
MAX_FAILURES: Final = 5
MAX_PAUSE_S: Final = 300.0
CHUNK_BYTES: Final = 1 << 16  # the most that an interrupted connection loses

_CONNECT_TIMEOUT_S: Final = 30.0
_READ_TIMEOUT_S: Final = 60.0  # without a byte
_MAX_CAUSES: Final = 10  # of an error, one inside the other

# Opens a progress bar: takes a name and a total, and returns a context manager whose value
# is called with the amount done so far. `Progress.counter` is one.
Counter: TypeAlias = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


class RetryableError(Exception):
    """An attempt has failed, but another one may succeed.

    Attributes:
        after: Seconds to wait before it, if the server has named a time.
    """

    def __init__(self, reason: str, after: float | None = None) -> None:
        super().__init__(reason)
        self.after = after


@dataclass(frozen=True)
class _RemoteFile:
    """What the server has said about the file. A later process compares it to resume.

    Attributes:
        size: Bytes, if known.
        validator: Strong entity tag or modification time, if known.
        md5: Hex digits, if known.
    """

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
    retried: frozenset[int] = RETRIED_STATUSES,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Download a file; resume what an earlier, interrupted call has left.

    An incomplete file is at ``PATH.part``, and its description at ``PATH.part.json``.

    Args:
        locate: Returns the address, called for each attempt. The address may be signed, so
            it is never shown. May raise RetryableError.
        path: Path of the file; an existing file is replaced.
        name: Name of the download in messages.
        counter: Shows the progress in bytes.
        accept: Called with the size of the file and the missing bytes before any of them
            are written; raises FetchError to reject the file.
        retried: HTTP statuses after which to try again.
        pause: Waits for a number of seconds.

    Raises:
        FetchError: The download failed; the received bytes are kept.
        SetupError: The package requests is not installed.
    """
    part = _beside(path, ".part")
    failures = 0
    while True:
        before = _size(part)
        try:
            _attempt(locate(), part, name=name, counter=counter, accept=accept, retried=retried)
            part.replace(path)
            _beside(path, ".part.json").unlink(missing_ok=True)
            return
        except RetryableError as error:
            problem = error
        except OSError as error:
            raise FetchError(
                f"{name}: {path} cannot be written ({error.strerror}). Check the disk and your "
                "permission to write there"
            ) from None
        # Outside the except block: an error raised while waiting must not have the address
        # in its context.
        failures = 1 if _size(part) > before else failures + 1
        if failures == MAX_FAILURES:
            raise FetchError(
                f"{name}: {problem}, {failures} times in a row. Check the network and try again "
                "later; the download resumes where it stopped"
            )
        wait = min(2.0**failures if problem.after is None else problem.after, MAX_PAUSE_S)
        logger.info("%s: %s; retrying in %.0f s", name, problem, wait)
        pause(wait)


def describe_connection_error(error: BaseException) -> str:
    """Return the reason of a connection error without the address."""
    cause: BaseException | None = error
    for _ in range(_MAX_CAUSES):
        if cause is None:
            break
        if isinstance(cause, OSError) and cause.errno and cause.strerror:
            return f"no connection ({cause.strerror})"
        argument = next((arg for arg in cause.args if isinstance(arg, BaseException)), None)
        # urllib3 keeps the original error as `reason`, or as the context of its own.
        reason = getattr(cause, "reason", None)
        cause = reason if isinstance(reason, BaseException) else argument or cause.__context__
    return f"the connection was lost ({type(error).__name__})"


def retry_after(headers: Any) -> float | None:
    """Return the seconds of the header ``Retry-After``; None if it is missing or malformed."""
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
    retried: frozenset[int],
) -> None:
    """Download the missing bytes of the part."""
    requests = require_extra("requests", extra="kaggle", purpose="fetching files")
    remote = _read_description(part)
    start = _size(part) if remote and remote.validator else 0
    if remote and start and start == remote.size:
        return _check_md5(part, remote)
    # Without compression, so that lengths and positions are those of the file.
    headers = {"Accept-Encoding": "identity"}
    if start and remote:
        headers |= {"Range": f"bytes={start}-", "If-Range": str(remote.validator)}
    try:
        with requests.get(
            url, headers=headers, stream=True, timeout=(_CONNECT_TIMEOUT_S, _READ_TIMEOUT_S)
        ) as response:
            _check_status(response, part, name, retried)
            if response.status_code != requests.codes.partial_content:
                start = 0
            elif not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
                part.unlink(missing_ok=True)
                raise RetryableError("the server sent a different range than requested")
            remote = _describe(response, start)
            if remote.size is not None:
                accept(remote.size, remote.size - start)
            _receive(response, part, remote, start=start, name=name, counter=counter)
    except (requests.RequestException, ConnectionError, TimeoutError) as error:
        # "from None": the original error contains the address.
        raise RetryableError(describe_connection_error(error)) from None
    except ValueError:  # of a header, such as an address that is not text
        raise RetryableError("the server's answer is malformed") from None
    if remote.size is not None and _size(part) != remote.size:
        raise RetryableError(f"the connection was lost after {_size(part)} of {remote.size} bytes")
    return _check_md5(part, remote)


def _check_status(
    response: requests.Response, part: Path, name: str, retried: frozenset[int]
) -> None:
    status = response.status_code
    if status in (200, 206):
        return
    answer = f"the server answers {status} {response.reason}".rstrip()
    if status == 416:
        # The part is longer than the file: start again.
        part.unlink(missing_ok=True)
        raise RetryableError(answer)
    if status in retried:
        raise RetryableError(answer, retry_after(response.headers))
    raise FetchError(f"{name}: {answer}. Check the address, or try again later")


def _describe(response: requests.Response, start: int) -> _RemoteFile:
    headers = response.headers
    length = None if headers.get("Content-Encoding") else headers.get("Content-Length")
    md5 = re.search(r"\bmd5=([A-Za-z0-9+/]{22}==)", headers.get("x-goog-hash", ""))
    validator = headers.get("ETag") or headers.get("Last-Modified")
    return _RemoteFile(
        size=start + int(length) if length and length.isdigit() else None,
        # A weak tag promises the same meaning, not the same bytes.
        validator=None if validator is None or validator.startswith("W/") else validator,
        md5=base64.b64decode(md5[1]).hex() if md5 else None,
    )


def _receive(
    response: requests.Response,
    part: Path,
    remote: _RemoteFile,
    *,
    start: int,
    name: str,
    counter: Counter,
) -> None:
    if not start:
        # In this order, so that a description is never beside the bytes of another file.
        part.unlink(missing_ok=True)
        _beside(part, ".json").write_text(json.dumps(asdict(remote)), encoding="utf-8")
    if remote.size is not None:
        missing = 1e-6 * (remote.size - start)
        logger.info(
            "Downloading %s: %.1f MB, %.1f MB received earlier", name, missing, 1e-6 * start
        )
    with (
        part.open("ab") as file,
        counter(f"Downloading {name}", remote.size or 0) as show,
    ):
        done = start
        show(done)
        for chunk in response.iter_content(CHUNK_BYTES):
            file.write(chunk)
            done += len(chunk)
            show(done)


def _check_md5(part: Path, remote: _RemoteFile) -> None:
    if remote.md5 is None:
        return
    with part.open("rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    if md5 != remote.md5:
        part.unlink()
        raise RetryableError(f"received a file with the MD5 {md5}, wanted {remote.md5}")


def _read_description(part: Path) -> _RemoteFile | None:
    try:
        return _RemoteFile(**json.loads(_beside(part, ".json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
