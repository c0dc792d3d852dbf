"""Reasons for which an image is quarantined: a closed list of codes."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Why an image is quarantined; the value is the code in ``quarantine.csv``.

    Attributes:
        EMPTY: The file has 0 bytes.
        NOT_PNG: The file has another format.
        TRUNCATED: The file ends before its last chunk.
        DAMAGED: A checksum differs, or header or image data are invalid.
        TOO_LARGE: The file, its image or its image data exceed a limit.
        UNSUPPORTED: The decoder returns another kind of pixels than 8-bit grey.
        DECODER_FAILED: The decoder raised an exception, such as a lack of memory.
        UNREADABLE: The file is gone, not a regular file, or must not be read.
        NAME_NOT_UTF8: The file's name is not valid UTF-8, so Spark cannot open it.
        NOT_LISTED: The driver lists the file, but Spark does not.
        NO_FACE: No face was found in the photograph (``predict --align``).
        SEVERAL_FACES: The photograph has several faces (``predict --align``).
        TURNED_FACE: The face is not upright (``predict --align``).
        NOT_READ: Spark lists the file, but returned no row for it.
    """

    EMPTY = "empty"
    NOT_PNG = "not_png"
    TRUNCATED = "truncated"
    DAMAGED = "damaged"
    TOO_LARGE = "too_large"
    UNSUPPORTED = "unsupported"
    DECODER_FAILED = "decoder_failed"
    UNREADABLE = "unreadable"
    NAME_NOT_UTF8 = "name_not_utf8"
    NOT_LISTED = "not_listed"
    NOT_READ = "not_read"
    NO_FACE = "no_face"
    SEVERAL_FACES = "several_faces"
    TURNED_FACE = "turned_face"


# Beginnings of the descriptions in the column `error`. Pixel stores keep descriptions, not
# codes, so that the stores of earlier versions have codes as well.
_BEGINNINGS: Final = (
    (re.compile("empty file"), Reason.EMPTY),
    (re.compile("not a PNG"), Reason.NOT_PNG),
    (re.compile("truncated"), Reason.TRUNCATED),
    (re.compile("more image data|a file of|(PNG|JPEG) of .* more than"), Reason.TOO_LARGE),
    (re.compile("damaged|PNG without|PNG of"), Reason.DAMAGED),
    (re.compile("decoded to"), Reason.UNSUPPORTED),
    (re.compile("cannot be read"), Reason.UNREADABLE),
    (re.compile("no face found"), Reason.NO_FACE),
    (re.compile(r"\d+ faces found"), Reason.SEVERAL_FACES),
    (re.compile("face turned"), Reason.TURNED_FACE),
)


def reason_of(description: str) -> Reason:
    """Return the code for the description of an image that cannot be decoded."""
    found = (reason for beginning, reason in _BEGINNINGS if beginning.match(description))
    return next(found, Reason.DECODER_FAILED)
