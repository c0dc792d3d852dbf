"""Prediction Params: what the predictions of a fitted model mean, as Params of its stage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from pyspark.ml.param import Param, Params, TypeConverters

from glasses_spark.errors import ScoringError
from glasses_spark.scoring.model_ports import output_names
from glasses_spark.scoring.named_columns import listed
from glasses_spark.scoring.prediction_kind import KINDS, PredictionKind


class HasPredictionKinds(Params):
    """Mixin: the `PredictionKind` of each output.

    A model with one output has two Params, as earlier versions saved them.
    """

    prediction_kind: Param[str] = Param(
        Params._dummy(),
        "prediction_kind",
        "what the outputs are: probabilities, logits, numbers, or a description",
        TypeConverters.toString,
    )
    prediction_size: Param[int] = Param(
        Params._dummy(),
        "prediction_size",
        "number of outputs for a row; 0 if unknown",
        TypeConverters.toInt,
    )
    output_kinds: Param[Any] = Param(
        Params._dummy(),
        "output_kinds",
        "prediction_kind and prediction_size of each output of a model with several",
        TypeConverters.toList,
    )

    def get_prediction_kind(self, *, output: str | None = None) -> str:
        """Return what the outputs are: ``probabilities``, ``logits``, ``numbers`` or a description.

        Empty for a model of an earlier version or of Elephas.

        Args:
            output: Name of the output, of a model with several.

        Raises:
            ScoringError: There is no such output.
        """
        return self._stored_kinds()[self._position(output)].name

    def set_prediction_kind(self, value: str, *, output: str | None = None) -> Self:
        """Set what the predictions are, if the loss does not tell.

        Args:
            value: ``probabilities``, ``logits`` or ``numbers``.
            output: Name of the output, of a model with several.

        Raises:
            ScoringError: The value is none of these, or there is no such output.
        """
        if value not in KINDS:
            raise ScoringError(
                f"prediction_kind: expected one of {', '.join(KINDS)}, got {value!r}"
            )
        kinds, position = self._stored_kinds(), self._position(output)
        kinds[position] = PredictionKind(value, kinds[position].size)
        self._set(**kind_params(kinds))
        return self

    def _stored_kinds(self) -> list[PredictionKind]:
        """Return the kind of each output, as far as the Params have it."""
        count = len(self._output_names())
        if count == 1:
            name = str(self.getOrDefault(self.prediction_kind))
            return [PredictionKind(name, int(self.getOrDefault(self.prediction_size)))]
        stored = [PredictionKind(*kind) for kind in self.getOrDefault(self.output_kinds)]
        return stored or [PredictionKind()] * count

    def _position(self, output: str | None) -> int:
        names = self._output_names()
        if output is None and len(names) == 1:
            return 0
        if output not in names:
            raise ScoringError(f"output: expected one of {listed(names)}, got {output!r}")
        return names.index(output)

    def _output_names(self) -> tuple[str, ...]:
        config: Param[Any] = self.getParam("keras_model_config")
        return output_names(self.getOrDefault(config)) if self.isDefined(config) else ("",)


def kind_params(kinds: Sequence[PredictionKind]) -> dict[str, Any]:
    """Return the Params of a `GlassesModel` with such outputs."""
    if len(kinds) == 1:
        return kinds[0].params()
    return {"output_kinds": [[kind.name, kind.size] for kind in kinds]}
