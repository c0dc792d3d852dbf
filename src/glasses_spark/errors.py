"""Errors: everything that this library raises on purpose."""

from __future__ import annotations


class GlassesSparkError(Exception):
    """The base of the family: the work failed, and the message says what to do."""


class ConfigError(GlassesSparkError):
    """A call, an option or a configuration key is wrong."""


class SetupError(GlassesSparkError):
    """The machine lacks something: Java, Spark, a package, a free port."""


class DataError(GlassesSparkError):
    """The images or the labels cannot be used."""


class FetchError(DataError):
    """Images or labels cannot be downloaded, or what came cannot be unpacked."""


class LabelsError(DataError):
    """The labels file is missing, malformed or contradicts itself."""


class ImagesError(DataError):
    """The images are missing, ambiguous, or too many of them cannot be read."""


class DecodeError(DataError):
    """One image cannot be decoded; the message is the reason kept in the quarantine."""


class TrainingError(GlassesSparkError):
    """A fit cannot start, or did not do what it promised."""


class WorkerError(TrainingError):
    """A training worker failed; the message carries the worker's own error."""


class ScoringError(GlassesSparkError):
    """A fitted model cannot be applied, saved or loaded."""


class TrackingError(GlassesSparkError):
    """A finished run could not be recorded elsewhere; its run folder is complete."""
