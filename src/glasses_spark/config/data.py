"""Sections about images: where they are, their size, the split and the store."""

from __future__ import annotations

from dataclasses import dataclass

from glasses_spark.config.fields import (
    key,
    matching,
    one_of,
    real,
    text,
    whole,
    whole_or,
)
from glasses_spark.config.section import Section, refuse


@dataclass(frozen=True)
class DataConfig(Section):
    """Which images and labels to read."""

    images: str = key(
        "faces",
        text("a folder, glob or URI"),
        "Folder, glob or URI of the PNG files; each has its number in its name.",
    )
    labels: str = key(
        "labels.csv",
        text("a path, URI or URL"),
        "Path, URI or http(s) URL of the CSV file with the columns `index` and `label`.",
    )
    labels_sha256: str = key(
        "",
        matching("[0-9a-fA-F]{64}", "64 hex digits"),
        "SHA-256 of the labels file, checked wherever it is read or fetched; empty takes any.",
    )
    labels_url: str = key(
        "",
        matching(r"https?://\S+", "an http(s) URL"),
        "Where `glasses-spark fetch` gets the labels file that it puts at `data.labels`.",
    )
    dataset: str = key(
        "",
        matching(r"[\w-]+/[\w-]+(/[1-9]\d*)?", "OWNER/NAME or OWNER/NAME/VERSION"),
        "Data set of Kaggle's whose images `glasses-spark fetch` puts into `data.images`.",
    )
    glob: str = key("*.png", text("a file name pattern"), "Which files of the folder are images.")
    on_bad: str = key(
        "quarantine",
        one_of("quarantine", "fail"),
        "What to do with an image that cannot be decoded: set it aside with its reason and go on, "
        "or stop.",
    )
    max_bad_fraction: float = key(
        0.01,
        real(lambda x: 0 <= x <= 1, "a number from 0 to 1"),
        "Stop when more than this part of the images cannot be decoded.",
        unit="fraction of the images",
    )
    limit: int = key(
        0,
        # One image of each label is the least that can be learned from.
        whole_or(0, 2),
        "Use only this many images, chosen with the seed, for a quick try; 0 uses all.",
        unit="images",
    )


@dataclass(frozen=True)
class ImageConfig(Section):
    """The size to which every image is brought."""

    # 16 is the least that the CNN's pooling layers leave something of.
    height: int = key(128, whole(16, 1024), "Height of the model's input.", unit="pixels")
    width: int = key(128, whole(16, 1024), "Width of the model's input.", unit="pixels")


@dataclass(frozen=True)
class SplitConfig(Section):
    """Which part of the images trains and which part is held back."""

    test: float = key(
        0.2,
        real(lambda x: 0 < x < 1, "a number between 0 and 1, both excluded"),
        "Part that is held back for the test.",
        unit="fraction of the images",
    )
    validation: float = key(
        0.0,
        real(lambda x: 0 <= x < 1, "a number from 0 to 1, 1 excluded"),
        "Part that is held back from the training: for `val_loss` and `val_accuracy` after each "
        "epoch, for the choice of thresholds and for `evaluation.calibrate`; 0 holds none back.",
        unit="fraction of the images",
    )
    near_duplicates: str = key(
        "together",
        one_of("together", "ignore"),
        "Whether images that are nearly the same are kept in one part, so that the test holds no "
        "copy of what was trained on; or every image is placed by its own number.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.test + self.validation >= 1:
            refuse(
                [
                    "split.test and split.validation: expected a sum below 1, so that something "
                    f"is left to train on, got {self.test} and {self.validation}"
                ]
            )


@dataclass(frozen=True)
class StoreConfig(Section):
    """Where decoded pixels are kept between runs."""

    dir: str = key(
        "pixels",
        text("a folder or URI, or an empty text", may_be_empty=True),
        "Folder or URI of the pixel store, in which decoded images are kept for later runs; empty "
        "keeps none. A path is of this machine in local mode, and of Spark's default file system "
        "on a cluster.",
    )
