"""Settings of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from glasses_spark.config.fields import (
    AUTO,
    Key,
    flag,
    key,
    label_weights,
    number,
    text,
    verbosity,
    whole_number,
)
from glasses_spark.config.interval import EVERY_EPOCH, interval
from glasses_spark.config.section import declared_keys
from glasses_spark.config.training import TrainingSettings


@dataclass(frozen=True)
class FitSettings(TrainingSettings):
    """All settings of a fit: those of ``[training]``, and those of the estimator alone.

    Each field is a Param of the estimator; see `SETTINGS`. Values are checked at
    construction.
    """

    seed: int = key(0, whole_number(), "Seed from which all random choices of the fit are derived.")
    validation_split: float = key(
        0.0,
        number(lambda x: 0 <= x < 1, "a number from 0 to 1, 1 excluded"),
        "Fraction of the rows used for validation.",
        unit="fraction of the rows",
    )
    categorical: bool = key(
        True, flag(), "Whether labels are class numbers, to be encoded as one-hot rows."
    )
    nb_classes: int = key(10, whole_number(1), "Number of classes of categorical labels.")
    checkpoint_dir: str = key(
        "",
        text("a folder or URI, or an empty string", may_be_empty=True),
        "Folder or URI of checkpoints; empty writes none. A fit goes on from the last one there.",
    )
    checkpoint_every: str = key(
        EVERY_EPOCH,
        interval(),
        "How often to write a checkpoint.",
    )
    verbose: int | str = key(
        AUTO,
        verbosity(),
        "What a fit writes: 0 nothing, 1 a line that is kept up to date, 2 a line for each epoch; "
        '"auto" is 1 on a terminal and in a notebook, 2 elsewhere.',
    )
    class_weight: Mapping[str, float] = key(
        {}, label_weights(), "Weight in the loss of the rows of each label; 1 for other labels."
    )

    @property
    def classes(self) -> int | None:
        """Length of a one-hot label, or None for labels as they are."""
        return self.nb_classes if self.categorical else None


# The settings of a fit, and the fields of their values, by the name of the Param.
SETTINGS: Final[Mapping[str, Key]] = {
    setting.param or name: setting for name, setting in declared_keys(FitSettings).items()
}
FIELDS: Final[Mapping[str, str]] = {
    setting.param or name: name for name, setting in declared_keys(FitSettings).items()
}


@dataclass(frozen=True)
class Columns:
    """The user's columns.

    Attributes:
        features: Column of the features of each input.
        labels: Column of the labels of each output; None for an output without.
        weight: Column of the rows' weights in the loss, or None.
        validation: Boolean column that is true in validation rows, or None.
        skip_invalid: Whether to skip rows that a fit cannot use, instead of an error.
    """

    features: tuple[str, ...]
    labels: tuple[str | None, ...]
    weight: str | None = None
    validation: str | None = None
    skip_invalid: bool = False
