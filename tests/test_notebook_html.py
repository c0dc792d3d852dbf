"""Tests for glasses_spark.notebook_html, and for what objects show of themselves in a notebook."""

from __future__ import annotations

import json
import math
import re
from html.parser import HTMLParser
from typing import Any
from unittest.mock import sentinel

import cv2
import numpy as np
import pytest

from glasses_spark import notebook_html as cells
from glasses_spark.config.config import Config
from glasses_spark.errors import ScoringError
from glasses_spark.evaluation.curves import make_curves
from glasses_spark.evaluation.metrics import Metrics, metrics_of
from glasses_spark.evaluation.scores import Scores, scores_of
from glasses_spark.reports.notebook import show_curves, show_faces
from glasses_spark.runs.result import Result
from glasses_spark.scoring.history_list import HistoryList
from glasses_spark.scoring.transformer import GlassesModel
from glasses_spark.training.model import build_cnn

HOSTILE = "<img src=x onerror=alert(1)>&\"'</style><script>alert(2)</script>"
VOID = {"br", "img", "path", "circle", "polyline", "use"}


class Page(HTMLParser):
    """What a browser would make of a cell: elements, references and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.references: list[str] = []
        self.handlers: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open, f"left open: {self._open}"

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "action", "data"):
                self.references.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)


def history(epochs: int = 3, **metrics: Any) -> list[dict[str, Any]]:
    return [
        {"epoch": n, "loss": 0.8 / n, "accuracy": 1 - 0.3 / n, "rows": 80, "workers": []}
        | {name: values[n - 1] for name, values in metrics.items()}
        for n in range(1, epochs + 1)
    ]


def scores() -> Scores:
    generator = np.random.default_rng(3)
    label = np.arange(200) % 2
    return scores_of(label, np.clip(0.25 + 0.5 * label + generator.normal(0, 0.2, 200), 0, 1))


def metrics() -> Metrics:
    return metrics_of(scores(), threshold=0.5)


def model() -> GlassesModel:
    network = build_cnn(32, 32)
    return GlassesModel(
        keras_model_config=network.to_json(),
        weights=network.get_weights(),
        history=history(),
        featuresCol="pixels",
        rawPredictionCol="rawPrediction",
    )


def result(run_dir: str = "runs/demo") -> Result:
    return Result(
        train=metrics(),
        test=metrics(),
        validation=None,
        curves={"train": make_curves(scores()), "test": make_curves(scores())},
        thresholds=None,
        calibration=None,
        data={"images": 210, "used": 200, "undefined_label": 10},
        timings={"preprocess_s": 1.5, "total_s": 12.25},
        history=history(val_loss=[0.9, 0.5, 0.4]),
        model=sentinel.model,
        predictions=sentinel.predictions,
        location=run_dir,
        decoded=200,
        reused=0,
    )


def face(number: int = 7) -> dict[str, Any]:
    pixels = bytes(range(64)) + bytes(64)
    return {"id": number, "label": 1.0, "prediction": [0.125], "pixels": bytearray(pixels)}


SHOWN: dict[str, Any] = {
    "result": result,
    "configuration": lambda: Config.load(None, ["training.epochs=3"]),
    "metrics": metrics,
    "model": model,
    "history": lambda: HistoryList(history()),
    "curves": lambda: show_curves({"test": make_curves(scores())}, {"test": metrics()}),
    "faces": lambda: show_faces([face()], height=8, width=16),
}


@pytest.mark.parametrize("make", SHOWN.values(), ids=SHOWN)
def test_a_cell_is_whole_loads_nothing_and_runs_nothing(make: Any) -> None:
    html = make()._repr_html_()

    page = Page(html)
    assert page.elements[:2] == ["div", "style"]
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(page.elements)
    assert not page.handlers
    assert all(one.startswith(("#", "data:image/png;base64,")) for one in page.references)
    assert not re.search(r"url\((?!#)|@import", html)
    # Names of XML are the only addresses.
    assert set(re.findall(r"\w+://[^\"' ]+", html)) <= {"http://www.w3.org/1999/xlink"}


@pytest.mark.parametrize("make", SHOWN.values(), ids=SHOWN)
def test_a_cell_has_its_text_in_the_colour_of_its_theme(make: Any) -> None:
    html = make()._repr_html_()

    style, shown = html.split("</style>", 1)
    assert "--ink: currentColor" in style
    assert set(re.findall(r"var\((--\w+)\)", html)) <= set(re.findall(r"(--\w+):", style))
    assert not re.findall(r"#[0-9a-f]{3,8}\b(?=[;\"])", re.sub(r'="#[^"]*"', "", shown))


def luminance(colour: str) -> float:
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_each_series_can_be_told_from_white_and_from_black() -> None:
    """By the formula of WCAG 2.1, which asks for 3 to 1 of what is drawn."""
    colours = re.findall(r"--\w+: (#[0-9a-f]{6})", cells.cell(""))
    assert len(colours) == 4
    for colour in colours:
        assert 1.05 / (luminance(colour) + 0.05) >= 4
        assert (luminance(colour) + 0.05) / (luminance("#111111") + 0.05) >= 4


def test_what_comes_from_outside_is_shown_as_text() -> None:
    hostile = [{"epoch": 1, HOSTILE: 0.5, "rows": 8, "workers": []}]
    shown = [
        result(HOSTILE)._repr_html_(),
        Config.load(None, [f"data.images={HOSTILE}"])._repr_html_(),
        HistoryList(hostile)._repr_html_(),
        cells.cell(HOSTILE, cells.table([HOSTILE], [[HOSTILE, HOSTILE]])),
        show_faces([face()], height=8, width=16, title=HOSTILE).html,
    ]
    for html in shown:
        page = Page(html)
        assert "script" not in page.elements
        assert page.elements.count("style") == 1
        assert not page.handlers
        assert "alert(1)" in page.text


def test_a_history_shows_where_each_metric_came_from_and_got_to() -> None:
    html = HistoryList(history(val_loss=[0.9, 0.5, 0.45]))._repr_html_()

    assert "loss through the epochs: training from 0.8000 to 0.2667; validation from 0.9000" in html
    assert html.count("<svg") == 2
    page = Page(html)
    assert "epoch 1" in page.text
    assert "epoch 3" in page.text
    assert "validation 0.4500" in page.text
    assert "Epoch by epoch" in page.text


def test_the_lowest_and_the_highest_value_are_at_the_ends_of_the_axis() -> None:
    chart = cells.learning_charts([{"epoch": n, "loss": 4.0 - n} for n in (1, 2, 3)])

    assert re.findall(r">([\d.]+)</text>", chart) == ["1", "3"]
    assert 'points="46.0,10.0 169.0,59.0 292.0,108.0"' in chart


@pytest.mark.parametrize(
    ("losses", "marks"),
    [
        pytest.param([0.5], 1, id="one epoch"),
        pytest.param([0.5, 0.5], 2, id="no change"),
        pytest.param([0.5, math.nan, 0.25], 2, id="a gap"),
        pytest.param([math.nan, math.inf], 0, id="diverged"),
        pytest.param([1.0 / n for n in range(1, 101)], 0, id="too many for marks"),
        pytest.param([], 0, id="no epoch"),
    ],
)
def test_any_history_can_be_charted(losses: list[float], marks: int) -> None:
    records = [{"epoch": n, "loss": loss} for n, loss in enumerate(losses, start=1)]

    html = HistoryList(records)._repr_html_()

    assert html.count("<circle") == marks
    places = re.findall(r'(?:points|c[xy]|[xy])="([^"]*)"', html)
    assert not any("nan" in place or "inf" in place for place in places)


def test_a_history_is_a_list_as_before() -> None:
    fitted = model()

    assert fitted.history == history()
    assert json.loads(json.dumps(fitted.history)) == history()


def test_a_model_shows_its_size_its_layers_and_its_columns() -> None:
    text = Page(model()._repr_html_()).text

    assert "GlassesModel: 16,673 parameters" in text
    assert "From pixels to prediction, rawPrediction" in text
    assert "shapes Conv2D 16 filters, 5 x 5, relu" in text
    assert "glasses Dense 1 unit, sigmoid" in text
    assert "grey InputLayer 32 x 32 x 1" in text
    assert "logits divided" not in text


def test_a_model_without_a_network_can_be_shown() -> None:
    assert "no weights" in Page(GlassesModel()._repr_html_()).text


def test_metrics_show_their_intervals() -> None:
    found = metrics()

    text = Page(found._repr_html_()).text

    low, high = found.intervals["accuracy"] or (0, 0)
    assert f"accuracy {found.accuracy:.4f} {low:.4f}-{high:.4f}" in text
    assert f"tp {found.tp}" in text


def test_a_configuration_shows_what_differs_from_the_published_experiment() -> None:
    html = Config.load(None, ["training.epochs=3", "image.height=64"])._repr_html_()

    first, rest = html.split("<details>")
    assert "training.epochs 3 10" in Page(first + "</div>").text
    assert "image.height 64 128" in Page(first + "</div>").text
    assert "training.mode" not in first
    assert "training.mode" in rest
    assert "As in the published experiment." in Config()._repr_html_()


def test_secrets_among_the_settings_of_spark_are_not_shown() -> None:
    config = Config.from_dict(
        {"spark": {"conf": {"spark.hadoop.fs.s3a.secret.key": "hush", "spark.ui.port": "4041"}}}
    )

    html = config._repr_html_()

    assert "hush" not in html
    assert "4041" in html


def test_a_result_shows_all_parts_and_the_curves_of_both_kinds() -> None:
    html = result()._repr_html_()

    text = Page(html).text
    assert f"Test accuracy {metrics().accuracy:.4f} on 200 images" in text
    assert "train test" in text
    assert "200 of 210 images, 3 epochs, 12.2 s" in text
    assert "loss through the epochs" in html
    assert "ROC curve" in text


def test_the_pixels_of_a_face_are_those_in_its_row() -> None:
    shown = show_faces([face()], height=8, width=16, title="Mistakes")

    encoded = re.findall(r"base64,([^\"]+)", shown.html)
    assert len(encoded) == 1
    import base64

    picture = cv2.imdecode(np.frombuffer(base64.b64decode(encoded[0]), np.uint8), -1)
    assert picture.tobytes() == bytes(face()["pixels"])
    assert "7: glasses p = 0.125" in Page(shown.html).text
    assert repr(shown) == "Mistakes: 1"


def test_no_face_is_said_to_be_none() -> None:
    assert "None." in show_faces([], height=8, width=16).html


def test_pixels_of_another_size_are_refused_with_both_sizes() -> None:
    with pytest.raises(ScoringError, match="8 x 8 = 64 bytes a face, got 128"):
        show_faces([face()], height=8, width=8)
