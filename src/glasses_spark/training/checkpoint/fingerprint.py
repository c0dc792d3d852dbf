"""Fingerprint: the data, the model and the settings that a checkpoint belongs to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from glasses_spark.config.training import SYNCHRONOUS
from glasses_spark.errors import TrainingError
from glasses_spark.training.keras_objects import KerasObject
from glasses_spark.training.model_spec import ModelSpec
from glasses_spark.training.settings import FitSettings

# They change neither the weights nor the history up to an epoch. The number of workers is added
# as a number: "auto" may mean another one.
_FREE: Final = frozenset(
    [
        *("checkpoint_dir", "checkpoint_every", "epochs", "num_workers", "port"),
        *("shared_memory", "stall_timeout", "verbose"),
    ]
)

# They have no effect on synchronous fits.
_ASYNCHRONOUS: Final = frozenset(["asynchronous_rule", "staleness_aware"])


@dataclass(frozen=True)
class Fingerprint:
    """What must be the same for a fit to go on.

    Attributes:
        data: Digest of the rows.
        model: Digest of architecture, losses, metrics and optimizer.
        settings: Settings of the fit that change its result.
    """

    data: str
    model: str
    settings: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {"data": self.data, "model": self.model, "settings": dict(self.settings)}

    def require(self, saved: Any, location: str) -> None:
        """Refuse a checkpoint of something else.

        Args:
            saved: Result of `as_dict` in the checkpoint.
            location: Folder of the checkpoint, for the message.

        Raises:
            TrainingError: It differs; the message names each difference.
        """
        own = json.loads(json.dumps(self.as_dict()))
        saved = saved if isinstance(saved, Mapping) else {}
        differences = [
            f"other {name} than those of this fit" if name == "data" else f"another {name}"
            for name in ("data", "model")
            if saved.get(name) != own[name]
        ]
        settings = saved.get("settings")
        settings = settings if isinstance(settings, Mapping) else {}
        differences += [
            f"{name}={settings.get(name)!r}, not {value!r}"
            for name, value in own["settings"].items()
            if settings.get(name) != value
        ]
        if differences:
            raise TrainingError(
                f"the checkpoint in {location} belongs to another fit: it has "
                f"{'; '.join(differences)}. Restore these, or start anew without the checkpoint"
            )


def fingerprint_of(
    spec: ModelSpec, settings: FitSettings, *, workers: int, buckets: Sequence[Any]
) -> Fingerprint:
    """Return the fingerprint of a fit.

    Args:
        spec: Specification of the model.
        settings: Settings of the fit.
        workers: Number of workers.
        buckets: Result of `partition.count_buckets`: counts and digests of the rows.
    """
    free = _FREE | _ASYNCHRONOUS if settings.mode == SYNCHRONOUS else _FREE
    values = {name: value for name, value in asdict(settings).items() if name not in free}
    model = {
        "config": json.loads(spec.config),
        "loss": _described(spec.loss),
        "loss_weights": _described(spec.loss_weights),
        "metrics": _described(spec.metrics),
        "weighted_metrics": _described(spec.weighted_metrics),
        "optimizer": _described(spec.optimizer),
        "floatx": spec.floatx,
    }
    return Fingerprint(
        data=_digest(sorted(map(list, buckets))),
        model=_digest(_numbered(model, {})),
        settings={**values, "num_workers": workers},
    )


def _described(value: Any) -> Any:
    """Return a description that is the same in each process."""
    if isinstance(value, KerasObject):
        return [type(value).__name__, _described(vars(value))]
    if isinstance(value, Mapping):
        return {str(name): _described(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_described(item) for item in value]
    if value is None or isinstance(value, (str, int, float)):
        return value
    kind = value if isinstance(value, type) else type(value)
    return f"{kind.__module__}.{getattr(value, '__qualname__', kind.__qualname__)}"


def _numbered(value: Any, names: dict[str, str]) -> Any:
    """Replace the names of layers by numbers: Keras counts them up within a process."""
    if isinstance(value, Mapping):
        if isinstance(name := value.get("name"), str):
            names.setdefault(name, f"#{len(names)}")
        return {key: _numbered(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [_numbered(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
