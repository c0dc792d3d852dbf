"""Data: images and labels, each alone and held against each other."""

from __future__ import annotations

from typing import Final

from glasses_spark.errors import LabelsError
from glasses_spark.preflight.doctor.check import FAILED, OK, WARNING, Check
from glasses_spark.preflight.doctor.survey import (
    Survey,
    is_elsewhere,
    list_files,
    not_png,
    read_local_labels,
    survey,
)
from glasses_spark.preflight.footprint import GIB

# A class with a smaller share than this is easily never predicted at all.
RARE: Final = 0.1
_NOT_HERE: Final = "not on this machine: not looked at"
_ASK_SPARK: Final = "To have Spark look: glasses-spark doctor --spark"


def look_at(images: str, labels: str, *, glob: str) -> tuple[Survey | None, list[Check]]:
    """Look at images and labels on this machine's disks.

    Args:
        images: ``data.images``.
        labels: ``data.labels``.
        glob: ``data.glob``.

    Returns:
        What was found, None where the images are elsewhere; the checks of what can only
        be told while reading.
    """
    label_of, of_labels = _read_labels(labels)
    if is_elsewhere(images):
        elsewhere = Check("Images", OK, f"{images}: {_NOT_HERE}", "PNG files", _ASK_SPARK)
        return None, [of_labels, elsewhere]
    found = survey(list_files(images, glob), label_of)
    return found, [of_labels, check_images(found, images, glob=glob)]


def _read_labels(location: str) -> tuple[dict[int, float | None] | None, Check]:
    name, wanted = "Labels", "a CSV file with the columns index and label"
    try:
        label_of = read_local_labels(location)
    except LabelsError as error:
        return None, Check(name, FAILED, str(error), wanted, "Correct the file or data.labels")
    except OSError as error:
        found = f"{location}: {error.strerror}"
        return None, Check(name, FAILED, found, wanted, "Correct its rights or data.labels")
    if label_of is not None:
        undefined = sum(label is None for label in label_of.values())
        found = f"{len(label_of):,} in {location}, {undefined:,} of them undefined"
        return label_of, Check(name, OK, found, wanted)
    if "://" in location or is_elsewhere(location):
        shown = location.partition("?")[0].rpartition("@")[2]
        return None, Check(name, OK, f"{shown}: {_NOT_HERE}", wanted, _ASK_SPARK)
    found = f"{location}: no such file"
    return None, Check(name, FAILED, found, wanted, "Give its path, URI or URL as data.labels")


def check_images(found: Survey, location: str, *, glob: str) -> Check:
    """Check that there are images."""
    if found.images:
        shown = f"{found.images:,} in {location}, {found.size / GIB:.2f} GiB"
        return Check("Images", OK, shown, "PNG files")
    return Check(
        "Images",
        FAILED,
        f"{location}: no file matches {glob!r} there",
        "PNG files",
        "Correct data.images or data.glob (case matters), or bring the images there",
    )


def check_data(
    found: Survey, *, limit: int, max_bad_fraction: float, balanced: bool
) -> list[Check]:
    """Check what a survey has found, where it has found images.

    Args:
        found: The survey.
        limit: ``data.limit``.
        max_bad_fraction: ``data.max_bad_fraction``; 0 where ``data.on_bad`` is "fail".
        balanced: Whether the training weighs the labels alike.
    """
    checks = [check_names(found), check_content(found, max_bad_fraction=max_bad_fraction)]
    if found.labels is not None:
        checks.append(check_match(found, limit=limit))
        if found.labelled:
            checks.append(check_balance(found, balanced=balanced))
    return checks


def check_names(found: Survey) -> Check:
    """Check the names: a number in each, which no other has, and no colon."""
    name, wanted = "File names", "a number in each name, once each, and no colon"
    if found.colon.count:
        return Check(name, FAILED, f"with a colon {found.colon}", wanted, "Rename them")
    if found.repeated.count:
        return Check(
            name,
            FAILED,
            f"with the number of another {found.repeated}",
            wanted,
            "Rename them, or narrow data.images or data.glob",
        )
    if found.unnumbered.count:
        return Check(
            name,
            WARNING,
            f"without a number {found.unnumbered}",
            wanted,
            "They are left out; rename those that have a label",
        )
    return Check(name, OK, "a number in each", wanted)


def check_content(found: Survey, *, max_bad_fraction: float) -> Check:
    """Check that files begin as PNG files do: all for their length, a sample for its bytes."""
    name, wanted = "PNG files", f"at most {max_bad_fraction:.0%} that cannot be decoded"
    bad = not_png(found.sample)
    shown = f"{bad.count} of {len(found.sample)} looked at are none ({bad})"
    if found.empty.count > max_bad_fraction * found.images:
        return Check(name, FAILED, f"empty {found.empty}", wanted, "Bring these files again")
    # A sample may be unlucky: only where it leaves no doubt would a run fail.
    if bad.count and bad.count == len(found.sample):
        return Check(name, FAILED, shown, wanted, "Convert them to PNG")
    if bad.count > max_bad_fraction * len(found.sample):
        return Check(
            name, WARNING, shown, wanted, "Bring them again, or raise data.max_bad_fraction"
        )
    return Check(name, OK, f"{len(found.sample)} looked at, {bad.count} of them none", wanted)


def check_match(found: Survey, *, limit: int) -> Check:
    """Check the labels against the images."""
    name, wanted = "Labels and images", "a label for each image, an image for each label"
    used = min(limit, found.labelled) if limit else found.labelled
    account = f"{used:,} of {found.images:,} images are used"
    if found.labelled < 2:
        return Check(
            name,
            FAILED,
            f"{account}, {found.labels:,} labels, without an image {found.without_image}",
            "at least 2 labelled images",
            "The last number of a file name must be the index of a label",
        )
    left_out = [
        f"{what} {found_of}"
        for what, found_of in (
            ("undefined", found.undefined),
            ("unlabelled", found.unlabelled),
            ("labels without image", found.without_image),
        )
        if found_of.count
    ]
    if found.unlabelled.count or found.without_image.count:
        return Check(
            name,
            WARNING,
            "; ".join([account, *left_out]),
            wanted,
            "A run leaves these out; bring what is missing if they should count",
        )
    return Check(name, OK, "; ".join([account, *left_out]), wanted)


def check_balance(found: Survey, *, balanced: bool) -> Check:
    """Check the shares of the labels."""
    name, wanted = "Class balance", f"{RARE:.0%} or more of each label"
    share = found.with_glasses / found.labelled
    shown = (
        f"{found.with_glasses:,} with glasses ({share:.1%}), "
        f"{found.without_glasses:,} without ({1 - share:.1%})"
    )
    if min(share, 1 - share) == 0:
        advice = "A model cannot learn from one label; bring images of both"
        return Check(name, WARNING, shown, wanted, advice)
    if min(share, 1 - share) < RARE and not balanced:
        advice = "--set training.class_weight=balanced has both count alike"
        return Check(name, WARNING, shown, wanted, advice)
    return Check(name, OK, shown, wanted)
