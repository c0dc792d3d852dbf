"""Params: the estimator's Spark ML parameters, with their checks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from numbers import Real
from typing import Any, Final, Self

import numpy as np
from pyspark.ml.param import Param, Params

from glasses_spark.config.fields import Kind
from glasses_spark.config.section import suggest
from glasses_spark.config.training import EPOCH
from glasses_spark.errors import ConfigError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.keras_objects import portable
from glasses_spark.training.optimizer_checks import require_new_optimizer
from glasses_spark.training.settings import FIELDS, SETTINGS, FitSettings


def _metrics(value: object) -> object:
    if value is not None and not isinstance(value, list | tuple | Mapping):
        raise ValueError
    return value


def _loss_weights(value: object) -> object:
    if isinstance(value, Real) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, Mapping):
        return {str(name): _loss_weights(weight) for name, weight in value.items()}
    if isinstance(value, list | tuple):
        return [_loss_weights(weight) for weight in value]
    if value is not None:
        raise ValueError
    return value


def _model_config(value: object) -> object:
    if not isinstance(value, str) or not isinstance(json.loads(value), dict):
        raise ValueError
    return value


_METRICS: Final = "a list of metrics, or a list or mapping of them for several outputs"


# Checks of all Params that have one; those of the settings are declared with their fields.
_KINDS: Final[Mapping[str, Kind]] = {
    **{name: setting.kind for name, setting in SETTINGS.items()},
    "keras_model_config": Kind("the text that model.to_json() returns", _model_config),
    "loss_weights": Kind("a number, or a list or mapping of numbers", _loss_weights),
    "metrics": Kind(_METRICS, _metrics),
    "weighted_metrics": Kind(_METRICS, _metrics),
}

# Elephas' defaults where they differ from those of the published experiment: a drop-in
# keeps them.
_ELEPHAS_DEFAULTS: Final[Mapping[str, Any]] = {"batch_size": 32, "frequency": EPOCH}


class TrainingParams(Params):
    """Mixin: a Param for each field of `FitSettings`, checked whenever it is set."""

    weighted_metrics: Param[Any] = Param(
        Params._dummy(), "weighted_metrics", "Keras metrics that use the weights of the rows"
    )
    loss_weights: Param[Any] = Param(
        Params._dummy(), "loss_weights", "weight of each output's loss, as for Keras' compile"
    )

    def set(self, param: Param[Any], value: Any) -> None:
        """Set a Param; None clears one of the settings, which then has its default.

        Raises:
            ConfigError: The value is not legal.
        """
        self._shouldOwn(param)
        self._set(**{param.name: value})

    def _set(self, **kwargs: Any) -> Self:
        for name, value in kwargs.items():
            if not self.hasParam(name):
                known = {param.name: param for param in self.params}
                raise ConfigError(
                    f"{type(self).__name__} has no Param {name!r}{suggest(name, known)}"
                )
            if value is None and name in SETTINGS:
                self.clear(getattr(self, name))
            else:
                super()._set(**{name: _checked(name, value)})
        return self

    def copy(self, extra: Mapping[Param[Any], Any] | None = None) -> Self:
        """Copy the estimator, as Spark ML's model selection does before each fit.

        Args:
            extra: Other values of Params. Those of other stages of a ``Pipeline`` are
                ignored.

        Returns:
            The copy, with the same initial weights and the same callback objects: two
            concurrent fits share the state of the callbacks.

        Raises:
            ConfigError: A value is not legal.
        """
        copied: Self = super().copy()
        own = {param: value for param, value in (extra or {}).items() if param.parent == self.uid}
        return copied._set(**{param.name: value for param, value in own.items()})

    def set_mode(self, mode: str) -> Self:
        """Set the mode: ``synchronous``, ``asynchronous`` or ``hogwild``."""
        return self._set(mode=mode)

    def set_frequency(self, frequency: str) -> Self:
        """Set how often workers push: each ``batch`` or each ``epoch``."""
        return self._set(frequency=frequency)

    def set_epochs(self, epochs: int) -> Self:
        """Set the number of epochs, at least 1."""
        return self._set(epochs=epochs)

    def set_batch_size(self, batch_size: int) -> Self:
        """Set the rows in one step of one worker, at least 1."""
        return self._set(batch_size=batch_size)

    def set_num_workers(self, num_workers: int | str) -> Self:
        """Set the number of workers, at least 1, or ``"auto"``."""
        return self._set(num_workers=num_workers)

    def set_validation_split(self, validation_split: float) -> Self:
        """Set the fraction of rows used for validation, in [0, 1)."""
        return self._set(validation_split=validation_split)

    def set_optimizer_config(self, optimizer_config: Any) -> Self:
        """Set the optimizer: its name, its serialized form, or a Keras optimizer."""
        return self._set(optimizer_config=optimizer_config)

    def _settings(self) -> FitSettings:
        return FitSettings(
            **{field: self.getOrDefault(getattr(self, name)) for name, field in FIELDS.items()}
        )


# From the fields: a setting is declared once. Elephas declares some of these on each
# instance again, under the same names, which makes them equal to these.
for _name, _setting in SETTINGS.items():
    setattr(TrainingParams, _name, Param(Params._dummy(), _name, _setting.meaning))


def default_params() -> dict[str, Any]:
    """Return the defaults of the settings by the name of the Param."""
    defaults = FitSettings()
    return {
        **{name: getattr(defaults, field) for name, field in FIELDS.items()},
        **_ELEPHAS_DEFAULTS,
    }


def _checked(name: str, value: Any) -> Any:
    """Return the value to keep of a Param, in a form that can be saved as JSON."""
    if isinstance(value, np.generic):
        value = value.item()
    if name in _KINDS:
        value = _KINDS[name].check(name, value)
    if name == "optimizer_config":
        require_new_optimizer(value)
        return _serialized(value)
    return portable(value, name) if name in ("loss", "metrics", "weighted_metrics") else value


def _serialized(optimizer: Any) -> Any:
    """Return the serialized form of an optimizer of Keras itself; the user's own is pickled."""
    keras = import_keras()
    is_of_keras = type(optimizer).__module__.startswith("keras.")
    if isinstance(optimizer, keras.optimizers.Optimizer) and is_of_keras:
        return keras.optimizers.serialize(optimizer)
    return optimizer
