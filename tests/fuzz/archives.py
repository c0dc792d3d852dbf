"""Zip archives as fuzz inputs: changes of one entry, with the checksum of the new content."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from random import Random
from typing import Any, Final

from tests.fuzz.target import flipped

_TEXTS: Final = (".json", ".csv", ".txt")

_VALUES: Final[tuple[Any, ...]] = (
    *(0, 1, -1, 3, 2**31, 2**63, 2**64, 1e308, float("nan"), True, None, "", "x", "../x"),
    *([], [0], [-1], [[0, 1]], {}, {"class_name": "Lambda"}, "float64", "object", "<f4"),
)


def mutate(data: bytes, chance: Random) -> bytes:
    """Change an archive: the content or the name of an entry, or a value of a JSON entry."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            entries = {
                entry.filename: file.read(entry)
                for entry in file.infolist()
                if entry.file_size < 1 << 20
            }
        name = chance.choice(list(entries))
    except Exception:
        return flipped(data, chance)
    match chance.randrange(6):
        case 0:
            return flipped(data, chance)
        case 1:
            del entries[name]
        case 2:
            entries[chance.choice(("../x", "/x", "x" * 300, "a\nb.png", "C:x"))] = entries[name]
        case _:
            is_text = name.endswith(_TEXTS)
            entries[name] = (changed_json if is_text else flipped)(entries[name], chance)
    return archive_of(entries, chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_STORED, 8)))


def archive_of(entries: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    """Return a zip archive of some entries."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return file.getvalue()


def changed_json(text: bytes, chance: Random) -> bytes:
    """Change one value of a JSON document."""
    try:
        document = json.loads(text)
    except ValueError:
        return flipped(text, chance)
    places = list(_places(document))
    if not places or chance.randrange(5) == 0:
        return flipped(text, chance)
    holder, key = chance.choice(places)
    if chance.randrange(4) == 0:
        del holder[key]
    elif chance.randrange(3) == 0:
        holder[key] = chance.choice(places)[0]
    else:
        holder[key] = chance.choice(_VALUES)
    try:
        return json.dumps(document).encode()
    except (ValueError, RecursionError):  # a part that now holds itself
        return flipped(text, chance)


def _places(value: Any) -> list[tuple[Any, Any]]:
    found: list[tuple[Any, Any]] = []
    open_values = [value]
    while open_values:
        holder = open_values.pop()
        if isinstance(holder, dict):
            keys: list[Any] = list(holder)
        elif isinstance(holder, list):
            keys = list(range(len(holder)))
        else:
            continue
        found += [(holder, key) for key in keys]
        open_values += [holder[key] for key in keys]
    return found
