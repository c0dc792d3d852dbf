"""Sections about images: source, size, split and pixel store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from glasses_spark.config.fields import (
    key,
    matching,
    number,
    one_of,
    text,
    whole_number,
    whole_number_or,
)
from glasses_spark.config.section import Section, refuse

QUARANTINE: Final = "quarantine"
FAIL: Final = "fail"

TOGETHER: Final = "together"
IGNORE: Final = "ignore"

# Height and width of an image in pixels, which the convolutions and pooling layers of the CNN need.
SMALLEST_SIDE: Final = 16


@dataclass(frozen=True)
class DataConfig(Section):
    """Which images and labels to read."""

    images: str = key(
        "faces",
        text("a folder, glob or URI"),
        "Folder, glob or URI of the PNG files; each file name contains the number of the image.",
    )
    labels: str = key(
        "labels.csv",
        text("a path, URI or URL"),
        "Path, URI or http(s) URL of the CSV file with the columns `index` and `label`.",
    )
    labels_sha256: str = key(
        "",
        matching("[0-9a-fA-F]{64}", "64 hex digits"),
        "SHA-256 of the labels file, checked when it is read or fetched; empty checks nothing.",
    )
    labels_url: str = key(
        "",
        matching(r"https?://\S+", "an http(s) URL"),
        "URL from which `glasses-spark fetch` downloads the labels file to `data.labels`.",
    )
    dataset: str = key(
        "",
        matching(r"[\w-]+/[\w-]+(/[1-9]\d*)?", "OWNER/NAME or OWNER/NAME/VERSION"),
        "Kaggle data set whose images `glasses-spark fetch` downloads to `data.images`.",
    )
    glob: str = key("*.png", text("a file name pattern"), "File names of the images in the folder.")
    on_bad: str = key(
        QUARANTINE,
        one_of(QUARANTINE, FAIL),
        "What to do with an image that cannot be decoded: quarantine it with its reason, or stop.",
    )
    max_bad_fraction: float = key(
        0.01,
        number(lambda x: 0 <= x <= 1, "a number from 0 to 1"),
        "Stop when more than this fraction of the images cannot be decoded.",
        unit="fraction of the images",
    )
    limit: int = key(
        0,
        # Training needs at least one image of each label.
        whole_number_or(0, 2),
        "Number of images to use, chosen with the seed, for a quick try; 0 uses all.",
        unit="images",
    )

    @property
    def allowed_bad_fraction(self) -> float:
        """Largest fraction of bad images to accept, in [0, 1]; 0 if ``on_bad`` is ``"fail"``."""
        return self.max_bad_fraction if self.on_bad == QUARANTINE else 0.0


@dataclass(frozen=True)
class ImageConfig(Section):
    """The size to which every image is resized."""

    height: int = key(
        128, whole_number(SMALLEST_SIDE, 1024), "Height of the model's input.", unit="pixels"
    )
    width: int = key(
        128, whole_number(SMALLEST_SIDE, 1024), "Width of the model's input.", unit="pixels"
    )


@dataclass(frozen=True)
class SplitConfig(Section):
    """How the images are split into a training, a validation and a test set."""

    test: float = key(
        0.2,
        number(lambda x: 0 < x < 1, "a number between 0 and 1, both excluded"),
        "Fraction of the images in the test set.",
        unit="fraction of the images",
    )
    validation: float = key(
        0.0,
        number(lambda x: 0 <= x < 1, "a number from 0 to 1, 1 excluded"),
        "Fraction of the images in the validation set, which gives `val_loss` and `val_accuracy` "
        "after each epoch and is used to choose thresholds and for `evaluation.calibrate`; 0 for "
        "no validation set.",
        unit="fraction of the images",
    )
    near_duplicates: str = key(
        TOGETHER,
        one_of(TOGETHER, IGNORE),
        "Whether near-duplicates go into the same set, so that the test set has no copy of a "
        "training image, or each image is assigned by its own number.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test + self.validation >= 1:
            refuse(
                [
                    "split.test and split.validation: expected a sum below 1, which leaves images "
                    f"to train on, got {self.test} and {self.validation}"
                ]
            )


@dataclass(frozen=True)
class StoreConfig(Section):
    """Where decoded pixels are stored between runs."""

    dir: str = key(
        "pixels",
        text("a folder or URI, or an empty string", may_be_empty=True),
        "Folder or URI of the pixel store, which keeps decoded images for later runs; empty for "
        "no store. A path without a scheme is on this machine in local mode, and on Spark's "
        "default file system on a cluster.",
    )
