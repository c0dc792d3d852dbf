"""Tests for glasses_spark.notebook_html, and for the notebook output of public objects."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest

from glasses_spark.config.config import Config
from glasses_spark.evaluation.curves import make_curves
from glasses_spark.notebook_html import cell, learning_charts, number, setting, table
from glasses_spark.reports.notebook import show_curves, show_faces
from glasses_spark.scoring.history_list import HistoryList
from glasses_spark.scoring.transformer import GlassesModel
from glasses_spark.training.model import build_cnn
from tests.contrast import contrast
from tests.html_page import Page
from tests.runs.results import make_history, make_metrics, make_result, make_scores


def test_control_characters_are_escaped() -> None:
    assert r"a\x1b\u202e" in table(["name"], [["a\x1b\u202e"]])


HOSTILE = "<img src=x onerror=alert(1)>&\"'</style><script>alert(2)</script>"


def make_model() -> GlassesModel:
    network = build_cnn(32, 32)
    return GlassesModel(
        keras_model_config=network.to_json(),
        weights=network.get_weights(),
        history=make_history(),
        featuresCol="pixels",
        rawPredictionCol="rawPrediction",
    )


FACE = {"id": 7, "label": 1.0, "prediction": [0.125], "pixels": bytes(128)}

OBJECTS: dict[str, Any] = {
    "result": make_result,
    "configuration": lambda: Config.load(None, ["training.epochs=3"]),
    "metrics": make_metrics,
    "model": make_model,
    "history": lambda: HistoryList(make_history()),
    "curves": lambda: show_curves({"test": make_curves(make_scores())}, {"test": make_metrics()}),
    "faces": lambda: show_faces([FACE], height=8, width=16),
}


@pytest.mark.parametrize("make", OBJECTS.values(), ids=OBJECTS)
def test_a_cell_is_balanced_and_inert(make: Any) -> None:
    page = Page(make()._repr_html_())

    assert [tag for tag, _ in page.tags[:2]] == ["div", "style"]
    page.assert_inert()


@pytest.mark.parametrize("make", OBJECTS.values(), ids=OBJECTS)
def test_a_cell_inherits_its_text_colour_from_the_theme(make: Any) -> None:
    html = make()._repr_html_()

    style, body = html.split("</style>", 1)
    assert "--ink: currentColor" in style
    assert set(re.findall(r"var\((--\w+)\)", html)) <= set(re.findall(r"(--\w+):", style))
    assert not re.findall(r"#[0-9a-f]{3,8}\b(?=[;\"])", re.sub(r'="#[^"]*"', "", body))


def test_each_series_has_enough_contrast_with_white_and_black() -> None:
    # The Web Content Accessibility Guidelines 2.1 require 3:1 for graphics.
    colours = re.findall(r"--\w+: (#[0-9a-f]{6})", cell(""))
    assert len(colours) == 4
    for colour in colours:
        assert contrast(colour, "#ffffff") >= 4
        assert contrast(colour, "#111111") >= 4


def test_external_text_is_escaped() -> None:
    hostile_history = [{"epoch": 1, HOSTILE: 0.5, "rows": 8, "workers": []}]
    cells = [
        make_result(HOSTILE)._repr_html_(),
        Config.load(None, [f"data.images={HOSTILE}"])._repr_html_(),
        HistoryList(hostile_history)._repr_html_(),
        cell(HOSTILE, table([HOSTILE], [[HOSTILE, HOSTILE]])),
    ]
    for html in cells:
        page = Page(html)
        page.assert_inert()
        assert len(page.all("style")) == 1
        assert "alert(1)" in page.text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (0.25, "0.2500"), (12345, "12,345"), ("local[2]", "local[2]")]
)
def test_numbers_are_formatted_by_type(value: Any, text: str) -> None:
    assert number(value) == text


def test_values_of_secret_settings_are_not_shown() -> None:
    assert setting("spark.conf.fs.s3a.secret.key", "hush") == "(not shown)"
    assert setting("spark.conf.spark.ui.port", 4041) == "4041"


def test_a_history_shows_the_first_and_last_value_of_each_metric() -> None:
    html = HistoryList(make_history(val_loss=[0.9, 0.5, 0.45]))._repr_html_()

    assert "loss by epoch: training from 0.8000 to 0.2667; validation from 0.9000" in html
    assert html.count("<svg") == 2
    page = Page(html)
    assert "epoch 1" in page.words
    assert "epoch 3" in page.words
    assert "validation 0.4500" in page.words
    assert "Epoch by epoch" in page.words


def test_the_lowest_and_highest_value_are_at_the_ends_of_the_axis() -> None:
    chart = learning_charts([{"epoch": n, "loss": 4.0 - n} for n in (1, 2, 3)])

    assert re.findall(r">([\d.]+)</text>", chart) == ["1", "3"]
    assert 'points="46.0,10.0 169.0,59.0 292.0,108.0"' in chart


@pytest.mark.parametrize(
    ("losses", "markers"),
    [
        pytest.param([0.5], 1, id="one epoch"),
        pytest.param([0.5, 0.5], 2, id="constant"),
        pytest.param([0.5, math.nan, 0.25], 2, id="gap"),
        pytest.param([math.nan, math.inf], 0, id="diverged"),
        pytest.param([1.0 / n for n in range(1, 101)], 0, id="too many for markers"),
        pytest.param([], 0, id="no epochs"),
    ],
)
def test_every_history_has_a_valid_chart(losses: list[float], markers: int) -> None:
    records = [{"epoch": n, "loss": loss} for n, loss in enumerate(losses, start=1)]

    html = HistoryList(records)._repr_html_()

    assert html.count("<circle") == markers
    coordinates = re.findall(r'(?:points|c[xy]|[xy])="([^"]*)"', html)
    assert not any("nan" in value or "inf" in value for value in coordinates)


def test_the_history_of_a_model_is_a_list() -> None:
    model = make_model()

    assert model.history == make_history()
    assert json.loads(json.dumps(model.history)) == make_history()


def test_a_model_shows_its_size_layers_and_columns() -> None:
    words = Page(make_model()._repr_html_()).words

    assert "GlassesModel: 16,673 parameters" in words
    assert "From pixels to prediction, rawPrediction" in words
    assert "shapes Conv2D 16 filters, 5 x 5, relu" in words
    assert "glasses Dense 1 unit, sigmoid" in words
    assert "grey InputLayer 32 x 32 x 1" in words
    assert "logits divided" not in words


def test_a_model_without_a_network_has_a_cell() -> None:
    assert "no weights" in Page(GlassesModel()._repr_html_()).words


def test_metrics_show_their_intervals() -> None:
    metrics = make_metrics()

    words = Page(metrics._repr_html_()).words

    low, high = metrics.intervals["accuracy"] or (0, 0)
    assert f"accuracy {metrics.accuracy:.4f} {low:.4f}-{high:.4f}" in words
    assert f"tp {metrics.tp}" in words


def test_a_configuration_shows_differences_from_the_published_experiment() -> None:
    html = Config.load(None, ["training.epochs=3", "image.height=64"])._repr_html_()

    first, rest = html.split("<details>")
    assert "training.epochs 3 10" in Page(first + "</div>").words
    assert "image.height 64 128" in Page(first + "</div>").words
    assert "training.mode" not in first
    assert "training.mode" in rest
    assert "As in the published experiment." in Config()._repr_html_()


def test_secret_settings_of_a_configuration_are_not_shown() -> None:
    config = Config.from_dict(
        {"spark": {"conf": {"spark.hadoop.fs.s3a.secret.key": "hush", "spark.ui.port": "4041"}}}
    )

    html = config._repr_html_()

    assert "hush" not in html
    assert "4041" in html
