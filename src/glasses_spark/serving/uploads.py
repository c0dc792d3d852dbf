"""Uploads: the images of a request, read within limits of size and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from glasses_spark.serving.settings import ServeSettings

# Types of a body that is one image. Curl sends the last one if none is given.
_RAW: Final = ("image/png", "image/jpeg", "application/octet-stream", "")
_CURL: Final = "application/x-www-form-urlencoded"
_FORM: Final = "multipart/form-data"

# Fields of a form that are not files.
_MAX_FIELDS: Final = 16


class RequestError(Exception):
    """A request that is not answered.

    Attributes:
        status: Status of the response.
        message: What was found and what was wanted.
    """

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True)
class Upload:
    """One image of a request.

    Attributes:
        name: Name that the client gave; empty without one.
        content: The complete file.
    """

    name: str
    content: bytes


class _FormParser(MultiPartParser):
    """Parser that knows whether a form has its last boundary: without it a file may be cut."""

    is_complete = False

    def on_end(self) -> None:
        """Note the last boundary; the parser calls this."""
        self.is_complete = True


class Memory:
    """Memory for bodies that are in work, so that many large ones do not exhaust the machine.

    It is taken as a body arrives: clients that announce a large one and send nothing take none.

    Args:
        limit: Most bytes at a time.
    """

    def __init__(self, limit: int) -> None:
        self._free = limit

    @contextmanager
    def taken(self) -> Iterator[Callable[[int], None]]:
        """Provide a function that takes bytes, which are given back at the end of the block.

        It raises a ``RequestError`` if there are too few.
        """
        taken = 0

        def take(size: int) -> None:
            nonlocal taken
            self.require(size)
            self._free -= size
            taken += size

        try:
            yield take
        finally:
            self._free += taken

    def require(self, size: int) -> None:
        """Check that there are some bytes now.

        Raises:
            RequestError: There are too few.
        """
        if size > self._free:
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests at once")


def declared_size(request: Request, settings: ServeSettings) -> int:
    """Return the size of a body by its header; 0 without a header.

    Raises:
        RequestError: It is too large, or no number.
    """
    text = request.headers.get("content-length")
    if text is None:
        return 0
    if not text.isdecimal() or len(text) > 20:
        raise RequestError(HTTPStatus.BAD_REQUEST, "expected a number as Content-Length")
    if int(text) > settings.max_bytes:
        raise _too_large(settings)
    return int(text)


async def read_uploads(
    request: Request, settings: ServeSettings, take: Callable[[int], None]
) -> list[Upload]:
    """Read the images of a request.

    Args:
        request: Its body is a PNG or JPEG file, or a form with files.
        settings: The limits.
        take: Takes memory for a number of bytes; see ``Memory``.

    Returns:
        At least one image.

    Raises:
        RequestError: The body has another form, exceeds a limit, or does not arrive in time, or
            there is too little memory.
    """
    parts = _bounded(request, settings, take)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        async with asyncio.timeout(settings.timeout_s):
            if kind == _FORM:
                uploads = await _read_form(request, settings, parts)
            elif kind in (*_RAW, _CURL):
                content = b"".join([part async for part in parts])
                uploads = [Upload("", content)] if content else []
            else:
                raise RequestError(
                    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                    f"expected image/png, image/jpeg or {_FORM}, got {kind[:80]!r}",
                )
    except TimeoutError:
        raise RequestError(
            HTTPStatus.REQUEST_TIMEOUT, f"expected the body within {settings.timeout_s:g} s"
        ) from None
    except ClientDisconnect:
        raise RequestError(HTTPStatus.BAD_REQUEST, "the client has gone") from None
    if not uploads:
        raise RequestError(HTTPStatus.BAD_REQUEST, "expected a PNG or JPEG file, found none")
    return uploads


async def _read_form(
    request: Request, settings: ServeSettings, parts: AsyncGenerator[bytes, None]
) -> list[Upload]:
    parser = _FormParser(
        request.headers,
        parts,
        max_files=settings.max_files,
        max_fields=_MAX_FIELDS,
    )
    parser.spool_max_size = settings.max_bytes  # in memory, not on the disk
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, ValueError) as error:
        reason = getattr(error, "message", "no legal form")
        raise RequestError(HTTPStatus.BAD_REQUEST, f"{_FORM}: {reason}") from error
    try:
        if not parser.is_complete:
            raise RequestError(HTTPStatus.BAD_REQUEST, f"{_FORM}: the last boundary is missing")
        files = [file for _, file in form.multi_items() if isinstance(file, UploadFile)]
        return [Upload(file.filename or "", await file.read()) for file in files]
    finally:
        await form.close()


async def _bounded(
    request: Request, settings: ServeSettings, take: Callable[[int], None]
) -> AsyncGenerator[bytes, None]:
    """Yield the parts of a body, whose header may be wrong or missing."""
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > settings.max_bytes:
            raise _too_large(settings)
        take(len(part))
        yield part


def _too_large(settings: ServeSettings) -> RequestError:
    return RequestError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"expected at most {settings.max_bytes:,} bytes"
    )
