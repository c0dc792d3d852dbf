"""Scenarios: tiny models that contain the objects of one or several cases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from tests.conformance.cases import Case, evaluate
from tests.conformance.compare import Scenario, Scene
from tests.conformance.engine import BATCH, Rows
from tests.conformance.heads import head_of, make_head
from tests.conformance.inputs import FEW_ROWS, ROWS, binary_labels, features
from tests.conformance.layer_scenarios import branches, inputs

# Callbacks that do not change the training.
_WATCHING: Final = (
    *("BackupAndRestore", "CSVLogger", "History", "LambdaCallback", "ModelCheckpoint"),
    *("ProgbarLogger", "TensorBoard", "TerminateOnNaN"),
)


def group_of(case: Case) -> str:
    """Return the name of the cases that one model can hold."""
    if case.part == "layers":
        # Untraced, TensorFlow has no convolution of this format on a CPU.
        is_apart = "Conv" in case.name and case.argument == "data_format"
        return f"layers.{case.name}" + (" apart" if is_apart else "")
    if case.part in ("activations", "initializers", "regularizers", "constraints"):
        return case.part
    if case.part == "losses":
        return "losses of percentages" if _is_steep(case) else "losses"
    if case.part == "callbacks" and case.name in _WATCHING:
        return "callbacks that watch"
    if case.part == "metrics":
        which = "" if case.change != "by name" else " by name"
        return f"metrics on {head_of(case)}{which}"
    return case.id


def scenario(cases: Sequence[Case]) -> Scenario:
    """Return the fit of a model that contains the objects of cases of one group."""
    part = cases[0].part
    if part == "layers" and cases[0].name in ("Input", "InputLayer"):
        return inputs(cases[0])
    if part in ("layers", "activations", "initializers", "regularizers", "constraints"):
        return branches(cases)
    return {
        "losses": _losses,
        "metrics": _metrics,
        "optimizers": _optimizer,
        "schedules": _optimizer,
        "callbacks": _callbacks,
        "compile": _compile,
    }[part](cases)


def _stack(head: Sequence[Any]) -> Any:
    import keras
    from keras import layers

    return keras.Sequential([keras.Input((4,)), layers.Dense(3, "tanh"), *head])


def _losses(cases: Sequence[Case]) -> Scenario:
    """Return the fit of a model with an output for each loss, behind layers of its own."""
    heads = [head_of(case) for case in cases]

    def model(scene: Scene) -> Any:
        import keras
        from keras import layers

        x = keras.Input((4,))
        outputs = []
        for head in heads:
            output = layers.Dense(3, "tanh")(x)
            for layer in make_head(head)[0]:
                output = layer(output)
            outputs.append(output)
        built = keras.Model(x, outputs if len(outputs) > 1 else outputs[0])
        losses = [_loss(case, scene) for case in cases]
        rate = 0.001 if _is_steep(cases[0]) else 0.1
        built.compile(keras.optimizers.SGD(rate), losses if len(losses) > 1 else losses[0])
        return built

    return Scenario(
        model, Rows(features("vector"), *(make_head(head)[1] for head in heads)), epochs=1
    )


def _loss(case: Case, scene: Scene) -> Any:
    if case.change == "by name":
        return case.name
    return case.target() if case.name == case.name.lower() else case.make(scene)


def _is_steep(case: Case) -> bool:
    # A percentage is a hundred times as steep as other losses.
    return "percentage" in case.name.lower()


def _metrics(cases: Sequence[Case]) -> Scenario:
    kind = head_of(cases[0])

    def model(scene: Scene) -> Any:
        import keras

        built = _stack(make_head(kind)[0])
        loss: Any = keras.losses.MeanSquaredError()
        if kind in ("classes to number", "sparse in a table"):
            loss = _size_of_output  # takes labels of another shape than the output
        elif kind.startswith("sparse"):
            loss = "sparse_categorical_crossentropy"
        metrics = [make_metric(case, scene) for case in cases]
        built.compile(keras.optimizers.SGD(0.5), loss, metrics=metrics)
        return built

    return Scenario(model, Rows(features("vector"), make_head(kind)[1]))


def _size_of_output(y_true: Any, y_pred: Any) -> Any:
    import keras

    return keras.ops.mean(keras.ops.square(y_pred - 1))


def _metric_name(case: Case) -> str:
    """Return the name of a metric in the history; empty for the name that Keras gives it."""
    if not case.change or case.argument == "name" or case.change == "by name":
        return ""
    return f"{case.name}.{case.argument}"


def make_metric(case: Case, scene: Scene) -> Any:
    """Return the metric of a case, or its name."""
    if case.change == "by name":
        return case.name
    if case.name == case.name.lower():
        return case.target()
    values = case.values(scene)
    if _metric_name(case):
        values["name"] = _metric_name(case)
    elif case.argument == "name":
        values["name"] = f"another {case.name}"
    return case.target()(**values)


def _optimizer(cases: Sequence[Case]) -> Scenario:
    [case] = cases

    def model(scene: Scene) -> Any:
        import keras

        it = case.make(scene)
        built = _stack(make_head("binary")[0])
        optimizer = it if case.part == "optimizers" else keras.optimizers.SGD(it)
        built.compile(optimizer, "binary_crossentropy")
        if case.name == "ScheduleFreeAdamW" and case.change:
            optimizer.build(built.trainable_variables)  # without, it is refused
        return built

    count = FEW_ROWS if case.part == "optimizers" else ROWS  # steps of a schedule
    return Scenario(model, Rows(features("vector")[:count], binary_labels()[:count]))


def _callbacks(cases: Sequence[Case]) -> Scenario:
    def model(scene: Scene) -> Any:
        import keras

        built = _stack(make_head("binary")[0])
        use_ema = cases[0].name == "SwapEMAWeights"
        optimizer = keras.optimizers.SGD(0.5, use_ema=use_ema)
        built.compile(optimizer, "binary_crossentropy", metrics=["mae"])
        return built

    def callbacks(scene: Scene) -> list[Any]:
        return [
            case.make(Scene(f"{scene.folder}/{number}", scene.seen))
            for number, case in enumerate(cases)
        ]

    # One batch in an epoch: callbacks act on epochs.
    rows = Rows(features("vector")[:BATCH], binary_labels()[:BATCH])
    return Scenario(model, rows, callbacks, epochs=4)


def _compile(cases: Sequence[Case]) -> Scenario:
    [case] = cases

    def model(scene: Scene) -> Any:
        built = _stack(make_head("numbers")[0])
        built.compile(**{name: evaluate(text, scene) for name, text in case.arguments.items()})
        return built

    # Whole batches, and an even number of them: steps_per_execution=2 would take a batch of the
    # next epoch from the generator that plain Keras gets.
    rows = Rows(features("vector")[:8], make_head("numbers")[1][:8])
    return Scenario(model, rows, eager=False)
