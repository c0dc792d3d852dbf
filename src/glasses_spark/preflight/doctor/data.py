"""Check the images and the labels."""

from __future__ import annotations

from typing import Final

from glasses_spark.errors import LabelsError
from glasses_spark.loading.labels_file import redact_url
from glasses_spark.preflight.doctor.check import FAILED, OK, WARNING, Check
from glasses_spark.preflight.doctor.survey import (
    Survey,
    list_files,
    read_local_labels,
    survey,
    undecodable,
)
from glasses_spark.preflight.footprint import GIB
from glasses_spark.runtime.location import is_remote

# A model may never predict a class with a smaller share than this.
RARE: Final = 0.1
_REMOTE: Final = "not on this machine, not checked"
_ASK_SPARK: Final = "To check it with Spark: glasses-spark doctor --spark"


def check_inputs(images: str, labels: str, *, glob: str) -> tuple[Survey | None, list[Check]]:
    """Read the labels and list the images on this machine's disks.

    Args:
        images: ``data.images``.
        labels: ``data.labels``.
        glob: ``data.glob``.

    Returns:
        The survey, None if the images are on another machine; and the checks of whether
        the labels and images can be read.
    """
    label_by_index, labels_check = _check_labels(labels)
    if is_remote(images):
        images_check = Check("Images", OK, f"{images}: {_REMOTE}", "PNG files", _ASK_SPARK)
        return None, [labels_check, images_check]
    result = survey(list_files(images, glob), label_by_index)
    return result, [labels_check, check_images(result, images, glob=glob)]


def check_images(result: Survey, location: str, *, glob: str) -> Check:
    """Check that images exist.

    Args:
        result: The survey.
        location: ``data.images``.
        glob: ``data.glob``.
    """
    if result.images:
        summary = f"{result.images:,} in {location}, {result.size / GIB:.2f} GiB"
        return Check("Images", OK, summary, "PNG files")
    return Check(
        "Images",
        FAILED,
        f"{location}: no file matches {glob!r}",
        "PNG files",
        "Correct data.images or data.glob (case-sensitive)",
    )


def check_data(
    result: Survey, *, limit: int, max_bad_fraction: float, balanced: bool
) -> list[Check]:
    """Check the images and labels that a survey found.

    Args:
        result: The survey, with at least one image.
        limit: ``data.limit``.
        max_bad_fraction: ``data.max_bad_fraction``; 0 if ``data.on_bad`` is "fail".
        balanced: Whether ``training.class_weight`` is "balanced".
    """
    checks = [check_names(result), check_content(result, max_bad_fraction=max_bad_fraction)]
    if result.labels is not None:
        checks.append(check_match(result, limit=limit))
        if result.labelled:
            checks.append(check_balance(result, balanced=balanced))
    return checks


def check_names(result: Survey) -> Check:
    """Check that each file name has a unique number and no colon.

    Args:
        result: The survey.
    """
    name, wanted = "File names", "a unique number in each name, UTF-8 and no colon"
    if result.colon.count:
        return Check(name, FAILED, f"with a colon {result.colon}", wanted, "Rename these files")
    if result.repeated.count:
        return Check(
            name,
            FAILED,
            f"with the number of another file {result.repeated}",
            wanted,
            "Rename these files, or narrow data.images or data.glob",
        )
    if result.not_utf8.count:
        return Check(
            name,
            WARNING,
            f"not valid UTF-8 {result.not_utf8}",
            wanted,
            "A run quarantines these files: Spark cannot open them. Rename them",
        )
    if result.unnumbered.count:
        return Check(
            name,
            WARNING,
            f"without a number {result.unnumbered}",
            wanted,
            "A run ignores these files; rename those that have a label",
        )
    return Check(name, OK, "a unique number in each", wanted)


def check_content(result: Survey, *, max_bad_fraction: float) -> Check:
    """Check the length and the name of all files, and decode a sample.

    Args:
        result: The survey.
        max_bad_fraction: As for ``check_data``.
    """
    name, wanted = "PNG files", f"at most {max_bad_fraction:.0%} that cannot be decoded"
    bad, sampled = undecodable(result.sample), len(result.sample)
    bad_files = f"{bad.count} of {sampled} sampled files cannot be decoded ({bad})"
    if result.empty.count > max_bad_fraction * result.images:
        return Check(name, FAILED, f"empty {result.empty}", wanted, "Copy these files again")
    if result.not_utf8.count > max_bad_fraction * result.images:
        found = f"not valid UTF-8 in their names {result.not_utf8}"
        return Check(name, FAILED, found, wanted, "Rename these files: Spark cannot open them")
    # A run certainly fails only if the whole sample is bad.
    if bad.count and bad.count == sampled:
        return Check(name, FAILED, bad_files, wanted, "Convert them to PNG")
    if bad.count > max_bad_fraction * sampled:
        advice = "Convert or copy these files again, or raise data.max_bad_fraction"
        return Check(name, WARNING, bad_files, wanted, advice)
    return Check(name, OK, f"{sampled} sampled, {bad.count} of them cannot be decoded", wanted)


def check_match(result: Survey, *, limit: int) -> Check:
    """Check that labels and images match.

    Args:
        result: The survey, with labels.
        limit: ``data.limit``.
    """
    name, wanted = "Labels and images", "a label for each image and an image for each label"
    used = min(limit, result.labelled) if limit else result.labelled
    summary = f"{used:,} of {result.images:,} images are used"
    if result.labelled < 2:
        return Check(
            name,
            FAILED,
            f"{summary}, {result.labels:,} labels, without an image {result.without_image}",
            "at least 2 labelled images",
            "The last number in a file name must be the index of a label",
        )
    ignored = [
        f"{reason} {tally}"
        for reason, tally in (
            ("undefined", result.undefined),
            ("unlabelled", result.unlabelled),
            ("labels without image", result.without_image),
        )
        if tally.count
    ]
    counts = "; ".join([summary, *ignored])
    if result.unlabelled.count or result.without_image.count:
        advice = "A run ignores these; add what is missing if you need them"
        return Check(name, WARNING, counts, wanted, advice)
    return Check(name, OK, counts, wanted)


def check_balance(result: Survey, *, balanced: bool) -> Check:
    """Check that neither label is rare.

    Args:
        result: The survey, with labelled images.
        balanced: As for ``check_data``.
    """
    name, wanted = "Class balance", f"{RARE:.0%} or more of each label"
    share = result.with_glasses / result.labelled
    shares = (
        f"{result.with_glasses:,} with glasses ({share:.1%}), "
        f"{result.without_glasses:,} without ({1 - share:.1%})"
    )
    if min(share, 1 - share) == 0:
        advice = "A model cannot learn from a single class; add images of the other one"
        return Check(name, WARNING, shares, wanted, advice)
    if min(share, 1 - share) < RARE and not balanced:
        advice = "Use --set training.class_weight=balanced to weight both classes equally"
        return Check(name, WARNING, shares, wanted, advice)
    return Check(name, OK, shares, wanted)


def _check_labels(location: str) -> tuple[dict[int, float | None] | None, Check]:
    name, wanted = "Labels", "a CSV file with the columns index and label"
    try:
        label_by_index = read_local_labels(location)
    except LabelsError as error:
        return None, Check(name, FAILED, str(error), wanted, "Correct the file or data.labels")
    except OSError as error:
        reason = f"{location}: {error.strerror}"
        advice = "Correct its permissions or data.labels"
        return None, Check(name, FAILED, reason, wanted, advice)
    if label_by_index is not None:
        undefined = sum(label is None for label in label_by_index.values())
        counts = f"{len(label_by_index):,} in {location}, {undefined:,} of them undefined"
        return label_by_index, Check(name, OK, counts, wanted)
    if is_remote(location):
        return None, Check(name, OK, f"{redact_url(location)}: {_REMOTE}", wanted, _ASK_SPARK)
    missing = f"{location}: no such file"
    return None, Check(name, FAILED, missing, wanted, "Set data.labels to its path, URI or URL")
