"""Tests for glasses_spark.training.checkpoint.fingerprint."""

from __future__ import annotations

import json
from typing import Any

import pytest

from glasses_spark.errors import TrainingError
from glasses_spark.runtime.keras import import_keras
from glasses_spark.training.checkpoint.fingerprint import Fingerprint, fingerprint_of
from glasses_spark.training.settings import FitSettings
from tests.training.tiny import spec_of, tiny_model

BUCKETS = [(0, False, 3, 17), (1, False, 4, 12)]


def fingerprint(
    model: Any = None, buckets: Any = BUCKETS, workers: int = 2, **settings: Any
) -> Fingerprint:
    spec = spec_of(model or tiny_model())
    return fingerprint_of(spec, FitSettings(**settings), workers=workers, buckets=buckets)


def saved(found: Fingerprint) -> Any:
    """Return it as a checkpoint has it."""
    return json.loads(json.dumps(found.as_dict()))


def test_a_fit_with_more_epochs_and_another_place_for_its_checkpoints_is_the_same() -> None:
    other = fingerprint(
        epochs=99, checkpoint_dir="elsewhere", checkpoint_every="never", port=1234, verbose=0
    )
    fingerprint().require(saved(other), "here")


def test_a_model_of_another_process_is_the_same_although_its_layers_have_other_names() -> None:
    first, second = fingerprint(), fingerprint()
    assert first == second


def test_the_order_in_which_spark_returns_the_rows_does_not_matter() -> None:
    assert fingerprint(buckets=BUCKETS[::-1]) == fingerprint()


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"buckets": [(0, False, 3, 18), BUCKETS[1]]}, "other data than those of this fit"),
        ({"workers": 3}, "num_workers=3, not 2"),
        ({"batch_size": 7}, "batch_size=7, not 128"),
        ({"asynchronous_rule": "scaled_rate"}, "asynchronous_rule='scaled_rate', not 'shared_ba"),
        ({"mode": "hogwild"}, "mode='hogwild', not 'asynchronous'"),
    ],
)
def test_another_fit_is_refused_with_what_differs(other: dict[str, Any], message: str) -> None:
    with pytest.raises(TrainingError, match=f"here belongs to another fit: .*{message}.* Restore"):
        fingerprint().require(saved(fingerprint(**other)), "here")


def test_another_architecture_loss_or_optimizer_is_another_model() -> None:
    keras = import_keras()
    for other in (
        tiny_model(hidden=[keras.layers.Dense(3)]),
        tiny_model(optimizer=keras.optimizers.SGD(0.5)),
        tiny_model(metrics=["mae"]),
    ):
        with pytest.raises(TrainingError, match="another model"):
            fingerprint().require(saved(fingerprint(other)), "here")


def test_settings_of_asynchronous_fits_do_not_matter_for_synchronous_ones() -> None:
    fit = fingerprint(mode="synchronous", asynchronous_rule="scaled_rate")
    earlier = saved(fingerprint(mode="synchronous"))
    # As a version wrote it that had no rules.
    earlier["settings"]["staleness_aware"] = True
    fit.require(earlier, "here")


@pytest.mark.parametrize("value", [None, 3, {}, {"settings": 3}, {"data": []}])
def test_what_is_no_fingerprint_is_refused(value: Any) -> None:
    with pytest.raises(TrainingError, match="belongs to another fit"):
        fingerprint().require(value, "here")
