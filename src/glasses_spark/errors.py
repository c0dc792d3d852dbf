"""Errors that this library raises."""

from __future__ import annotations

from pathlib import Path


class GlassesSparkError(Exception):
    """Base class of all errors; the message says what to do."""


class ConfigError(GlassesSparkError):
    """A call, an option or a configuration key is invalid."""


class SetupError(GlassesSparkError):
    """The machine lacks something: Java, Spark, a package, a free port."""


class DataError(GlassesSparkError):
    """Images or labels cannot be used."""


class FetchError(DataError):
    """Images or labels cannot be downloaded or unpacked."""


class LabelsError(DataError):
    """The labels file is missing, malformed or inconsistent."""


class ImagesError(DataError):
    """Images are missing or ambiguous, or too many of them cannot be read."""


class DecodeError(DataError):
    """An image cannot be decoded; the message is the reason in the quarantine."""


class TrainingError(GlassesSparkError):
    """A fit cannot start, or its result is not valid."""


class WorkerError(TrainingError):
    """A training worker failed; the message contains the worker's error."""


class ScoringError(GlassesSparkError):
    """A fitted model cannot be applied, saved or loaded."""


class ResultsError(GlassesSparkError):
    """Results could not be written to their place; the message says where they are.

    Attributes:
        folder: Folder on this machine with the results; None if there is none.
    """

    def __init__(self, message: str, folder: Path | None = None) -> None:
        super().__init__(message)
        self.folder = folder


class TrackingError(GlassesSparkError):
    """A finished run could not be sent to a tracking server; its run folder is complete."""
