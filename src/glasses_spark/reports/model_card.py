"""Model card of a run: what the model is, what it learned from, how good it is, and its limits.

Its headings are those that readers of model cards know from Hugging Face.
"""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from glasses_spark.columns import TEST, TRAIN, VALIDATION
from glasses_spark.notebook_html import number
from glasses_spark.printable import markdown_code
from glasses_spark.reports.report_metrics import (
    calibration_notes,
    interval_bounds,
    metrics_section,
)
from glasses_spark.reports.report_origin import images_table
from glasses_spark.reports.report_verdict import lead_text
from glasses_spark.scoring.model_metadata import ONNX_FILE

_PARTS: Final = {TRAIN: "training", VALIDATION: "validation", TEST: "test"}

# Settings of the training in the order of the card, with their titles.
_TRAINING: Final = {
    "mode": "mode",
    "frequency": "update frequency",
    "num_workers": "workers, as configured",
    "epochs": "epochs, as configured",
    "batch_size": "batch size",
    "optimizer": "optimizer",
    "learning_rate": "learning rate",
    "loss": "loss",
    "class_weight": "class weight",
    "precision": "precision",
    "early_stopping": "early stopping, in epochs",
    "reduce_learning_rate": "halving of the learning rate, in epochs",
}

_LIMITS: Final = (
    "It knows tight, aligned faces such as those it was trained on. A face in a larger picture, "
    "or a picture without a face, gets a probability that means nothing.",
    "The metrics hold for pictures like those of the test set. Pictures from another source, "
    "with another camera, light, pose or kind of glasses, can be classified worse: evaluate the "
    "model on labelled pictures of that source before you use it.",
    "The run knows nothing about the people in the pictures, so differences between groups of "
    "people are not measured.",
)


@dataclass(frozen=True)
class ModelFacts:
    """What a card says of the model itself.

    Attributes:
        layers: Class names of the layers with weights, in order.
        parameters: Number of weights.
        height: Rows of the input image.
        width: Columns of the input image.
        threshold: Probability from which on the predicted label is 1.
        temperature: Number by which the logits are divided.
        labels: Names of the labels 0 and 1.
        files: Names of the files in the run folder.
    """

    layers: Sequence[str]
    parameters: int
    height: int
    width: int
    threshold: float
    temperature: float
    labels: tuple[str, ...]
    files: frozenset[str]


def render_model_card(
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    config: str,
    model: ModelFacts,
) -> str:
    """Render the model card of a run.

    Args:
        metrics: Contents of ``metrics.json``.
        history: Contents of ``history.json``.
        config: The configuration as TOML, without secrets.
        model: The model.

    Returns:
        Markdown. Text from outside, such as paths, is in code spans, where it is no markup.
    """
    settings = tomllib.loads(config)
    sections = {
        "# Model card": _summary(metrics, settings),
        "## Model details": _details(model),
        "## Uses": _uses(),
        "## Bias, risks and limitations": [_bullets(_limits(metrics, settings))],
        "## How to get started": _start(model.files),
        "## Training details": [],
        "### Training data": _data(metrics, settings),
        "### Training procedure": _procedure(metrics, history, settings),
        "## Evaluation": _evaluation(metrics),
        "### Calibration": _calibration(metrics),
        "## Versions": _versions(metrics),
    }
    return "\n\n".join("\n\n".join([title, *blocks]) for title, blocks in sections.items()) + "\n"


def _summary(metrics: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    lines = [
        "A neural network that tells whether the face in a picture wears glasses. Written by "
        "`glasses-spark train` from the data of the run.",
        lead_text(metrics[TEST]),
    ]
    run = settings.get("run", {})
    if "dir" in run:
        lines.append(f"Run folder: {markdown_code(run['dir'])}")
    return lines


def _details(model: ModelFacts) -> list[str]:
    layers = ", ".join(f"{count} {name}" for name, count in Counter(model.layers).items())
    negative, positive = map(markdown_code, model.labels)
    return [
        _bullets(
            [
                "Task: binary image classification",
                f"Architecture: Keras model, {model.parameters:,} parameters; layers with weights: "
                f"{markdown_code(layers)}",
                f"Input: one grey picture of {model.height} x {model.width} pixels, height by "
                "width, 0 black and 255 white. `model.keras` takes float32 in [0, 1], that is, "
                f"divided by 255; `{ONNX_FILE}` takes uint8. The shape is "
                "`(rows, height, width, 1)`",
                f"Output: the probability of {positive}, float32 in [0, 1], of shape `(rows, 1)`",
                f"Threshold: the label is 1 ({positive}) from a probability of "
                f"{_plain(model.threshold)}, below it 0 ({negative})",
                f"Temperature: {_plain(model.temperature)}"
                + (
                    ", by which the logits are divided; it is in the weights"
                    if model.temperature != 1
                    else ", which leaves the probabilities as they are"
                ),
            ]
        )
    ]


def _uses() -> list[str]:
    return [
        "Intended use: to sort or filter collections of aligned faces by glasses, and to learn "
        "distributed training.",
        "Not for identification of people, and not for decisions about people. The model says "
        "nothing of identity, age, health or eyesight.",
    ]


def _limits(metrics: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    test = metrics[TEST]
    interval = interval_bounds(test, "accuracy")
    limits = [*_LIMITS]
    if interval is not None:
        limits.append(
            f"The test set has {test['rows']:,} images: the 95 % interval of the accuracy is "
            f"{interval[0]:.4f} to {interval[1]:.4f}, and says nothing of other pictures."
        )
    if settings.get("split", {}).get("near_duplicates") == "ignore":
        limits.append(
            "Near-duplicates were not kept together: the test set may have copies of training "
            "images, which makes the metrics too good."
        )
    return limits


def _start(files: frozenset[str]) -> list[str]:
    blocks = [
        "`FOLDER` is the folder of this file.",
        "    glasses-spark predict --model FOLDER face.png\n"
        "    glasses-spark evaluate --model FOLDER --part test",
    ]
    if ONNX_FILE in files:
        return [
            *blocks,
            "In Python, without Spark and TensorFlow:",
            "```python\n"
            "from glasses_spark import Scorer\n\n"
            'scorer = Scorer.load("FOLDER")\n'
            'for score in scorer.score("face.png"):\n'
            "    print(score.name, score.probability, score.label, score.error)\n"
            "```",
        ]
    return [
        *blocks,
        f"`Scorer.load` needs `{ONNX_FILE}`, which this run has not written; its log says why. "
        "With the extra `scoring` this command writes the file:",
        "    glasses-spark export --model FOLDER --format onnx",
    ]


def _data(metrics: Mapping[str, Any], settings: Mapping[str, Any]) -> list[str]:
    data = settings.get("data", {})
    source = [
        f"{title}: {markdown_code(str(data[name]))}"
        for name, title in (("images", "Images"), ("labels", "Labels"), ("dataset", "Data set"))
        if data.get(name)
    ]
    digest = metrics.get("digests", {}).get("data")
    if digest:
        source.append(f"Digest of ids, labels and pixels: {markdown_code(digest)}")
    counts = images_table(metrics["data"], metrics.get("quarantine", {}))
    parts = [part for part in _PARTS if part in metrics]
    rows = [[_PARTS[part], *_balance(metrics[part])] for part in parts if "tp" in metrics[part]]
    balance = _table(["set", "images", "label 1", "label 0", "share of label 1"], rows)
    return [
        *([_bullets(source)] if source else []),
        *([balance] if rows else []),
        "Files and images:",
        _bullets(f"{title}: {number(count)}" for title, count in counts),
    ]


def _balance(part: Mapping[str, Any]) -> list[str]:
    positives, negatives = part["tp"] + part["fn"], part["tn"] + part["fp"]
    share = f"{100 * positives / part['rows']:.1f} %"
    return [number(part["rows"]), number(positives), number(negatives), share]


def _procedure(
    metrics: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    settings: Mapping[str, Any],
) -> list[str]:
    training = settings.get("training", {})
    lines = [
        f"{title}: {_setting(name, training[name])}"
        for name, title in _TRAINING.items()
        if name in training
    ]
    lines.append(f"epochs, done: {len(history)}")
    workers = max((len(record.get("workers", ())) for record in history), default=0)
    if workers:
        lines.append(f"workers, in use: {workers}")
    if "seed" in settings.get("run", {}):
        lines.append(f"seed: {settings['run']['seed']}")
    seconds = metrics.get("timings", {}).get("fit_s")
    if seconds is not None:
        lines.append(f"training time: {seconds:,.1f} s")
    return [_bullets(lines)]


def _setting(name: str, value: Any) -> str:
    if name == "learning_rate" and value == 0:
        return "the default of the optimizer"
    if name in ("early_stopping", "reduce_learning_rate") and value == 0:
        return "off"
    return markdown_code(value) if isinstance(value, str) else _plain(value)


def _evaluation(metrics: Mapping[str, Any]) -> list[str]:
    section = metrics_section(metrics)
    rows = [
        [
            row["name"],
            *(
                f"{cell['value']} ({cell['interval']})" if cell["interval"] else cell["value"]
                for cell in row["cells"]
            ),
        ]
        for row in section["rows"]
    ]
    note = (
        ["In brackets: 95 % intervals, for pictures drawn like those of the set."]
        if section["has_intervals"]
        else []
    )
    return [_table(["metric", *section["parts"]], rows), *note]


def _calibration(metrics: Mapping[str, Any]) -> list[str]:
    return calibration_notes(metrics.get("calibration")) or [
        "No temperature was fitted: the probabilities are those of the model. Their expected "
        "calibration error is in the table above."
    ]


def _versions(metrics: Mapping[str, Any]) -> list[str]:
    environment = metrics.get("environment", {})
    versions = {
        "Python": environment.get("python"),
        "Spark": environment.get("spark_version"),
        **environment.get("packages", {}),
    }
    lines = [f"{name}: {markdown_code(str(found))}" for name, found in versions.items() if found]
    digest = metrics.get("digests", {}).get("weights")
    if digest:
        lines.append(f"Digest of architecture and weights: {markdown_code(digest)}")
    return [_bullets(lines)]


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of texts that this package has written."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
