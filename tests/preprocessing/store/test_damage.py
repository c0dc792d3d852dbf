"""Tests for damaged pixel stores, and for what runs at the same time leave to each other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from glasses_spark.errors import DataError
from glasses_spark.preprocessing.decoding.decode import decode
from tests.faces import noise_png
from tests.preprocessing.store.images_on_disk import SIZE, ImagesOnDisk, rows_by_id

pytestmark = pytest.mark.slow


def truncate(part: Path) -> None:
    part.write_bytes(part.read_bytes()[:-100])


def flip_a_pixel(part: Path) -> None:
    content = part.read_bytes()
    # Within the pixels, which are noise and so stored as they are.
    pixels = decode(noise_png(seed=number_in(part)), SIZE, SIZE).tobytes()
    position = content.index(pixels[8:24]) + 3
    part.write_bytes(content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])


def shorten_the_pixels(part: Path) -> None:
    table = pq.read_table(part)
    pixels = [row and row[:-1] for row in table.column("pixels").to_pylist()]
    index = table.column_names.index("pixels")
    shorter = table.set_column(index, "pixels", pa.array(pixels, pa.binary()))
    # The times as Spark writes them.
    pq.write_table(shorter, part, use_deprecated_int96_timestamps=True)


def write_other_columns(part: Path) -> None:
    pq.write_table(pa.table({"id": ["a"], "path": [1.5], "pixels": [3]}), part)


def write_text(part: Path) -> None:
    part.write_text("not Parquet")


def number_in(part: Path) -> int:
    """Return the id of the first image in a part that could be decoded."""
    rows = pq.read_table(part, columns=["id", "pixels"]).to_pylist()
    return int(next(row["id"] for row in rows if row["pixels"]))


def damage_part(images: ImagesOnDisk, damage: Callable[[Path], None]) -> Path:
    """Damage a part that has pixels, and its checksum file so that Hadoop does not notice."""
    parts = sorted(images.folder.glob("base-*/part-*"))
    part = next(p for p in parts if any(pq.read_table(p).column("pixels").to_pylist()))
    damage(part)
    part.with_name(f".{part.name}.crc").unlink(missing_ok=True)
    return part


@pytest.mark.parametrize(
    "damage", [truncate, flip_a_pixel, shorten_the_pixels, write_other_columns, write_text]
)
def test_verifying_names_the_damaged_file_and_its_images_are_decoded_again(
    images: ImagesOnDisk, damage: Callable[[Path], None]
) -> None:
    whole = rows_by_id(images.update())
    part = damage_part(images, damage)

    damaged = images.store().verify()
    updated = images.update()

    assert damaged == [f"file:{part}"]
    assert updated.decoded == 5
    assert rows_by_id(updated) == whole
    assert images.store().verify() == []


@pytest.mark.parametrize("damage", [truncate, write_other_columns, write_text])
def test_an_update_decodes_again_what_it_cannot_read(
    images: ImagesOnDisk, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    whole = rows_by_id(images.update())
    part = damage_part(images, damage)

    updated = images.update()

    assert rows_by_id(updated) == whole
    assert f"{part.name} is damaged" in caplog.text


def test_a_missing_part_is_decoded_again(images: ImagesOnDisk) -> None:
    whole = rows_by_id(images.update())
    part = damage_part(images, Path.unlink)

    updated = images.update()

    assert updated.decoded > 0
    assert rows_by_id(updated) == whole
    assert not part.exists()


def test_files_of_others_in_a_store_are_not_read(images: ImagesOnDisk) -> None:
    images.update()
    for folder in (images.folder, next(images.folder.glob("base-*"))):
        (folder / "notes.txt").write_text("mine")

    assert images.store().verify() == []
    assert images.update().decoded == 0


@pytest.mark.parametrize("damage", [flip_a_pixel, shorten_the_pixels])
def test_pixels_are_checked_where_they_are_used(
    images: ImagesOnDisk, damage: Callable[[Path], None]
) -> None:
    images.update()
    part = damage_part(images, damage)
    updated = images.update()  # needs no pixels

    with pytest.raises(Exception, match=r"part-") as raised:
        updated.frame.collect()

    assert images.store().invalidate_damaged(raised.value) == f"file:{part}"
    assert images.store().invalidate_damaged(DataError("another error")) is None
    assert images.update().decoded == 5


def test_segments_that_another_run_reads_stay_until_it_ends(images: ImagesOnDisk) -> None:
    reader = images.update(held=True)
    (images.faces / "face-2.png").unlink()
    images.labels.write_text("index,label\n1,1.0\n3,1.0\n4,0.0\n6,1.0\n")

    writer = images.update(held=True)

    assert images.segments() == ["base-000001", "base-000002"]
    assert sorted(rows_by_id(reader)) == [1, 2, 3, 4, 6]
    assert sorted(rows_by_id(writer)) == [1, 3, 4, 6]
    assert images.store().vacuum() == []
    reader.release()
    assert [name[:11] for name in images.store().vacuum()] == ["base-000001"]
    assert sorted(rows_by_id(writer)) == [1, 3, 4, 6]
    writer.release()


def test_a_later_run_removes_what_a_dead_writer_left(images: ImagesOnDisk) -> None:
    images.update()
    (images.folder / "base-000009-0123abcd").mkdir()

    images.update()

    assert images.segments() == ["base-000001"]
