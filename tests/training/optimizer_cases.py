"""Every optimizer of the installed Keras, with its defaults and with each of its options."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any, Final

from glasses_spark.runtime.keras import import_keras

# Classes in keras.optimizers that do not update weights by themselves.
ABSTRACT: Final = frozenset(["Optimizer", "OptimizerMap"])
# Those that wrap other optimizers.
WRAPPERS: Final = frozenset(["LossScaleOptimizer", "MultiOptimizer"])
# Those that copy the weights when they are built. In Keras 3.15 fit must find them built.
NEED_A_BUILD: Final = frozenset(["ScheduleFreeAdamW"])
# Those that training.optimizer does not offer, for the reasons in config/training.py.
NOT_BY_NAME: Final = NEED_A_BUILD | {"Adafactor"}

# A second value of each option, and the other options without which it has no effect.
OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "adam_beta_1": {"adam_beta_1": 0.5},
    "adam_beta_2": {"adam_beta_2": 0.9},
    "adam_lr_ratio": {"adam_lr_ratio": 0.5},
    "adam_weight_decay": {"adam_weight_decay": 0.1},
    "amsgrad": {"amsgrad": True},
    "beta": {"beta": 0.1},
    "beta_1": {"beta_1": 0.5},
    "beta_2": {"beta_2": 0.9},
    "beta_2_decay": {"beta_2_decay": -0.5},
    "centered": {"centered": True},
    "clip_threshold": {"clip_threshold": 0.5},
    "clipnorm": {"clipnorm": 0.1},
    "clipvalue": {"clipvalue": 0.05},
    "ema_momentum": {"use_ema": True, "ema_momentum": 0.5},
    "ema_overwrite_frequency": {"use_ema": True, "ema_overwrite_frequency": 2},
    "epsilon": {"epsilon": 1e-3},
    "epsilon_1": {"epsilon_1": 1e-10},
    "epsilon_2": {"epsilon_2": 1e-2},
    "exclude_embeddings": {"exclude_embeddings": False},
    "exclude_layers": {"exclude_layers": ["hidden"]},
    "global_clipnorm": {"global_clipnorm": 0.1},
    "gradient_accumulation_steps": {"gradient_accumulation_steps": 2},
    "initial_accumulator_value": {"initial_accumulator_value": 0.5},
    "l1_regularization_strength": {"l1_regularization_strength": 0.01},
    "l2_regularization_strength": {"l2_regularization_strength": 0.01},
    "l2_shrinkage_regularization_strength": {"l2_shrinkage_regularization_strength": 0.01},
    "learning_rate": {"learning_rate": 0.02},
    "learning_rate_power": {"learning_rate_power": -0.3},
    "loss_scale_factor": {"loss_scale_factor": 8.0},
    "momentum": {"momentum": 0.8},
    "muon_a": {"muon_a": 3.0},
    "muon_b": {"muon_b": -4.5},
    "muon_c": {"muon_c": 2.0},
    "name": {"name": "other"},
    "nesterov": {"nesterov": True, "momentum": 0.8},
    "ns_steps": {"ns_steps": 3},
    "relative_step": {"relative_step": False},
    "rho": {"rho": 0.5},
    "rms_rate": {"rms_rate": None},
    "use_ema": {"use_ema": True},
    "warmup_steps": {"warmup_steps": 3},
    "weight_decay": {"weight_decay": 0.1},
}
# Values that are the default of one class.
OTHER_OPTIONS: Final[Mapping[tuple[str, str], Mapping[str, Any]]] = {
    ("Muon", "nesterov"): {"nesterov": False},
}


def optimizer_classes() -> dict[str, Any]:
    """Return the classes in ``keras.optimizers`` by name."""
    found = vars(import_keras().optimizers)
    return {name: kind for name, kind in sorted(found.items()) if isinstance(kind, type)}


def constructor_options(kind: Any) -> list[str]:
    parameters = inspect.signature(kind.__init__).parameters.values()
    return [p.name for p in parameters if p.kind is not p.VAR_KEYWORD and p.name != "self"]


def arguments_of(kind: Any) -> Iterator[dict[str, Any]]:
    """Yield the arguments to try: none, and each option with a second value."""
    yield {}
    for option in constructor_options(kind):
        yield dict(OTHER_OPTIONS.get((kind.__name__, option), OPTIONS[option]))


def schedule() -> Any:
    schedules = import_keras().optimizers.schedules
    return schedules.ExponentialDecay(0.05, decay_steps=2, decay_rate=0.5)


def multi_optimizer(**options: Any) -> Any:
    """An optimizer of its own for the hidden layer."""
    keras = import_keras().optimizers
    mapping = keras.OptimizerMap(keras.Adam(0.02), {".*hidden.*": keras.SGD(0.1, momentum=0.9)})
    return keras.MultiOptimizer(mapping, **options)
