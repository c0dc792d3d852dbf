"""Compare: plain Keras and this package on the same batches, and the verdict on a case."""

from __future__ import annotations

import contextlib
import random
import re
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from tests.conformance.engine import BATCH, SEED, Array, Outcome, RefusedError, Rows, fit
from tests.training.tiny import global_batches

EPOCHS: Final = 2

# Largest difference, as a fraction of the distance that the weights moved (for weights) or of the
# largest value (for metrics and predictions).
EXACT: Final = 1e-6
# Rounding of float32 in sums of another order.
ROUNDING: Final = 1e-4

# Weights that differ in the last places of float32 are the same.
LAST_PLACES: Final = 4 * float(np.finfo(np.float32).eps)

# Lines of an error of Keras or TensorFlow that do not say what is wrong.
_WHERE: Final = (
    r"Graph execution error|Detected at node|File |Exception encountered|Arguments rec|<std"
)

# Verdicts.
IS_EXACT: Final = "exact"
IS_CLOSE: Final = "within tolerance"
IS_REFUSED: Final = "refused"
IS_RANDOM: Final = "random"
IS_ILLEGAL: Final = "not in Keras"
DIFFERS: Final = "differs"
FAILS: Final = "fails"
GOOD: Final = frozenset([IS_EXACT, IS_CLOSE, IS_REFUSED, IS_RANDOM, IS_ILLEGAL])


@dataclass(frozen=True)
class Verdict:
    """Verdict on one case.

    Attributes:
        kind: One of the constants above.
        detail: Figure, message or reason, in one line.
    """

    kind: str
    detail: str = ""


@dataclass
class Scene:
    """What the code of a case may use besides Keras.

    Attributes:
        folder: Empty folder, for callbacks that write files.
        seen: List that functions of a case append to.
    """

    folder: str
    seen: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        Path(self.folder).mkdir(exist_ok=True)

    def traces(self) -> tuple[list[str], list[Any]]:
        """Return the files written, without the numbers in their names, and the list."""
        folder = Path(self.folder)
        files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
        names = sorted("event file" if "tfevents" in path.name else str(path) for path in files)
        return names, self.seen


@dataclass(frozen=True)
class Scenario:
    """A fit to compare.

    Attributes:
        model: Makes the compiled model.
        rows: Training rows.
        callbacks: Makes the callbacks.
        epochs: Passes over the rows.
        eager: Whether plain Keras runs without tracing its step, which takes three times as long
            as the six steps of a tiny model.
    """

    model: Callable[[Scene], Any]
    rows: Rows
    callbacks: Callable[[Scene], Sequence[Any]] = lambda scene: ()
    epochs: int = EPOCHS
    eager: bool = True


@dataclass(frozen=True)
class Difference:
    """Differences of two outcomes as fractions, by what differs; infinite if not comparable."""

    weights: float
    prediction: float
    history: Mapping[str, float]
    traces: float = 0.0

    def verdict(self, only: Callable[[str], bool] = lambda key: True) -> Verdict:
        """Return the verdict; of the history only the metrics whose name ``only`` accepts."""
        history = {key: value for key, value in self.history.items() if only(key)}
        parts = {
            "weights": self.weights,
            "prediction": self.prediction,
            "files or calls": self.traces,
            **{f"history of {key}": value for key, value in history.items()},
        }
        largest = max(parts.values())
        if largest <= EXACT:
            return Verdict(IS_EXACT)
        if largest <= ROUNDING:
            return Verdict(IS_CLOSE, f"{largest:.0e}")
        worst = [f"{name} {_figure(value)}" for name, value in parts.items() if value > ROUNDING]
        return Verdict(DIFFERS, ", ".join(worst[:3]) + (", ..." if len(worst) > 3 else ""))


def compare(scenario: Scenario, *, traced: bool = False) -> Difference | Verdict:
    """Run a scenario in plain Keras and in this package.

    Args:
        scenario: The fit.
        traced: Whether the package traces its steps, as it does in use. Without, the steps of a
            tiny model take half the time.

    Returns:
        The difference of the two, or the verdict where one of them raises an error.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result: Difference | Verdict | None = None
        if scenario.eager and not traced:
            result = _attempt(scenario, traced=False, plain_traced=False)
        elif scenario.eager:
            result = _attempt(scenario, traced=True, plain_traced=False)
        if result is None or not _is_settled(result):
            # Untraced, Keras allows some operations and draws some numbers that a traced step
            # does not.
            result = _attempt(scenario, traced=True, plain_traced=True)
        return result


def _is_settled(result: Difference | Verdict) -> bool:
    kind = (result if isinstance(result, Verdict) else result.verdict()).kind
    return kind in GOOD and kind != IS_ILLEGAL


def _attempt(scenario: Scenario, *, traced: bool, plain_traced: bool) -> Difference | Verdict:
    # The current folder too: TensorBoard, for example, writes there by default.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        ours, theirs = Scene(f"{folder}/package"), Scene(f"{folder}/keras")
        try:
            # With one model for both, the package must not change it.
            model = _new_model(scenario, ours)
            start = model.get_weights()
        except Exception as error:
            return Verdict(IS_ILLEGAL, _line(error))
        got: Outcome | Verdict
        try:
            got = fit(
                model,
                scenario.rows,
                epochs=scenario.epochs,
                callbacks=scenario.callbacks(ours),
                traced=traced,
            )
        except RefusedError as refusal:
            return Verdict(IS_REFUSED, _line(refusal))
        except Exception as error:
            got = Verdict(FAILS, _line(error))
        try:
            expected = _plain_fit(model, scenario, theirs, traced=plain_traced)
        except Exception as error:
            return Verdict(IS_ILLEGAL, _line(error))
        if not all(np.isfinite(value).all() for value in expected.weights if _is_float(value)):
            return Verdict(IS_ILLEGAL, "plain Keras gives numbers that are not finite")
        if isinstance(got, Verdict):
            return got
        return _difference(start, expected, got, same=theirs.traces() == ours.traces())


def _new_model(scenario: Scenario, scene: Scene) -> Any:
    import keras

    # The same names and the same random numbers in all models.
    keras.backend.clear_session(free_memory=False)
    random.seed(SEED)
    np.random.seed(SEED)
    return scenario.model(scene)


def draws_unseeded_numbers(scenario: Scenario) -> bool:
    """Return whether plain Keras itself gives another result in another process.

    Some layers draw from the global generator of Python, which no argument sets.
    """
    outcomes = []
    for seed in (SEED, SEED + 1):
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scene = Scene(folder)
            model = _new_model(scenario, scene)
            random.seed(seed)
            np.random.seed(seed)
            outcomes.append(_plain_fit(model, scenario, scene, traced=False))
    first, second = outcomes
    return max(_predictions(first, second)) > ROUNDING


def _plain_fit(model: Any, scenario: Scenario, scene: Scene, *, traced: bool) -> Outcome:
    rows = scenario.rows
    model.run_eagerly = model.run_eagerly or not traced
    batches = [
        global_batches((len(rows.x),), batch_size=BATCH, seed=SEED, epoch=epoch)
        for epoch in range(scenario.epochs)
    ]

    def generate() -> Iterator[tuple[Any, Any]]:
        for epoch in batches:
            for batch in epoch:
                yield _tensor(rows.x[batch]), rows.y(batch)

    done = model.fit(
        generate(),
        steps_per_epoch=len(batches[0]),
        epochs=scenario.epochs,
        shuffle=False,
        verbose=0,
        callbacks=list(scenario.callbacks(scene)),
    )
    history = [
        {name: values[epoch] for name, values in done.history.items()}
        for epoch in range(len(done.epoch))
    ]
    outputs = model.predict_on_batch(_tensor(rows.x))
    outputs = outputs if len(rows.labels) > 1 else [outputs]
    predictions = [np.asarray(output).reshape(len(rows.x), -1) for output in outputs]
    return Outcome(model.get_weights(), history, predictions)


def _tensor(x: Array) -> Any:
    """Return strings as a tensor: Keras takes no arrays of objects."""
    import tensorflow as tf

    return tf.constant(x.tolist()) if x.dtype == object else x


def _difference(start: list[Array], expected: Outcome, got: Outcome, *, same: bool) -> Difference:
    return Difference(
        weights=_distance(start, expected.weights, got.weights),
        prediction=max(_predictions(expected, got)),
        history=_history(expected.history, got.history),
        traces=0.0 if same else np.inf,
    )


def _predictions(expected: Outcome, got: Outcome) -> list[float]:
    """Return the difference of the predictions of each output."""
    return [_fraction(a, b) for a, b in zip(expected.predictions, got.predictions, strict=True)]


def _distance(start: list[Array], expected: list[Array], got: list[Array]) -> float:
    """Return the largest difference of the weights, as a fraction of the distance moved.

    Each variable is compared by its own distance, or by a thousandth of the largest one.
    """
    if [np.shape(value) for value in expected] != [np.shape(value) for value in got]:
        return float(np.inf)
    moved, apart = [0.0], [0.0]
    for first, wanted, value in zip(start, expected, got, strict=True):
        if not wanted.size:
            continue
        if not _is_float(wanted):
            apart[0] = apart[0] if np.array_equal(wanted, value) else np.inf
            continue
        first, wanted, value = (np.asarray(each, float) for each in (first, wanted, value))
        moved.append(float(np.abs(wanted - first).max()))
        rounding = LAST_PLACES * float(np.abs(wanted).max())
        apart.append(max(0.0, float(np.abs(value - wanted).max()) - rounding))
    least = max(moved) / 1000
    return max(b / (max(a, least) or 1.0) for a, b in zip(moved, apart, strict=True))


def _history(expected: list[dict[str, Any]], got: list[dict[str, Any]]) -> dict[str, float]:
    if len(expected) != len(got):
        return {"epochs": float(np.inf)}
    differences: dict[str, float] = {}
    for wanted, found in zip(map(flat, expected), map(flat, got), strict=True):
        for key in {**wanted, **found}:
            one = _fraction(wanted[key], found[key]) if key in wanted and key in found else np.inf
            differences[key] = max(differences.get(key, 0.0), float(one))
    return differences


def flat(logs: Mapping[str, Any]) -> dict[str, float]:
    """Return logs with one key for each number of a metric with several, and one for the mean."""
    numbers: dict[str, float] = {}
    for name, value in logs.items():
        array = np.asarray(value, float)
        if array.ndim:
            numbers |= {f"{name}_{index}": float(one) for index, one in enumerate(array.flat)}
        numbers[name] = float(array.mean())
    return numbers


def _fraction(expected: Any, got: Any) -> float:
    """Return the largest difference of two arrays as a fraction of the largest value."""
    expected, got = np.asarray(expected, float), np.asarray(got, float)
    if expected.shape != got.shape:
        return float(np.inf)
    if not np.array_equal(np.isfinite(expected), np.isfinite(got)):
        return float(np.inf)
    finite = np.isfinite(expected)
    if not finite.any():
        return 0.0
    apart = float(np.abs(expected[finite] - got[finite]).max())
    return apart / max(float(np.abs(expected[finite]).max()), 1e-3)


def _is_float(value: Any) -> bool:
    return np.issubdtype(np.asarray(value).dtype, np.floating)


def _figure(value: float) -> str:
    return "missing or of another shape" if np.isinf(value) else f"{value:.1g}"


def _line(error: BaseException) -> str:
    """Return what an error says, without the lines that say where."""
    lines = [line.strip() for line in str(error).splitlines()]
    telling = [line for line in lines if line and not re.match(_WHERE, line)]
    name = "" if isinstance(error, RefusedError) else f"{type(error).__name__}: "
    text = f"{name}{' '.join(telling[:2])}".replace("|", "/")
    return re.sub(r"worker 0 on \S+ process \d+: |0x[0-9a-f]+|/tmp/\S+|\x1b\[\d*m", "", text)[:400]
