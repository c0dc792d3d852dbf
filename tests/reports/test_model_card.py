"""Tests for glasses_spark.reports.model_card."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from typing import Any

import pytest
from markdown_it import MarkdownIt

from glasses_spark.config.config import Config
from glasses_spark.config.toml_text import toml_text
from glasses_spark.reports.model_card import ModelFacts, render_model_card
from tests.html_page import HOSTILE, Page
from tests.reports import pages

MODEL = ModelFacts(
    layers=["Conv2D", "Conv2D", "Dense"],
    parameters=434_465,
    height=128,
    width=96,
    threshold=0.5,
    temperature=1.0,
    labels=("no glasses", "glasses"),
    files=frozenset({"model.keras", "model.onnx"}),
)
METRICS = {
    **pages.METRICS,
    "train": {**pages.METRICS["train"], "tp": 900, "fn": 10, "fp": 1, "tn": 980},
    "quarantine": {"truncated": 3},
    "environment": {
        "python": "3.11.2",
        "spark_version": "4.0.0",
        "packages": {"keras": "3.15.1"},
    },
}

# Each would be markup if it were not in a code span, or would end the span.
INJECTIONS = [
    HOSTILE,
    "`<script>alert(1)</script>`",
    "``` <b>x</b> `` [a](http://example.org) ` **b**",
    "a\n\n# Approved\n\n- b",
    "a\r\n| x | y |\n| --- | --- |",
    "x\\`<i>y</i>\\",
    " ` ",
    "https://example.org/![a](b)",
    "\x1b[2J\x9b\u202egnp.\u2028",
]


def card(
    *settings: str, metrics: Any = METRICS, config: str | None = None, model: ModelFacts = MODEL
) -> str:
    config = Config.load(None, list(settings)).to_toml() if config is None else config
    return render_model_card(metrics, pages.history(), config, model)


def html(markdown: str) -> str:
    """Render as a site that allows tables and HTML."""
    page: str = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown)
    return page


def test_a_card_has_the_headings_that_readers_know() -> None:
    assert [line for line in card().splitlines() if line.startswith("#")] == [
        "# Model card",
        "## Model details",
        "## Uses",
        "## Bias, risks and limitations",
        "## How to get started",
        "## Training details",
        "### Training data",
        "### Training procedure",
        "## Evaluation",
        "### Calibration",
        "## Versions",
    ]


def test_a_card_says_what_the_model_is() -> None:
    text = card(model=replace(MODEL, threshold=0.25, temperature=1.5))
    assert "434,465 parameters; layers with weights: `2 Conv2D, 1 Dense`" in text
    assert "one grey picture of 128 x 96 pixels" in text
    assert "the label is 1 (`glasses`) from a probability of 0.25, below it 0" in text
    assert "Temperature: 1.5, by which the logits are divided" in text


def test_a_card_counts_the_images_of_each_set_and_label() -> None:
    text = card("data.images=faces", "data.labels=glasses.csv")
    assert "- Images: `faces`\n- Labels: `glasses.csv`\n" in text
    assert "- Digest of ids, labels and pixels: `0123456789abcdef`" in text
    assert "| training | 1,891 | 910 | 981 | 48.1 % |\n| test | 500 | 282 | 218 | 56.4 % |" in text
    assert "- found: 2,400" in text
    assert "- quarantined: truncated: 3" in text


def test_a_card_says_how_the_model_was_trained() -> None:
    text = card(
        "training.mode=synchronous",
        "training.frequency=epoch",
        "training.epochs=5",
        "training.batch_size=64",
        "training.optimizer=sgd",
        "training.learning_rate=0.01",
        "run.seed=7",
    )
    for line in (
        "mode: `synchronous`",
        "update frequency: `epoch`",
        "workers, as configured: `auto`",
        "workers, in use: 2",
        "epochs, as configured: 5",
        "epochs, done: 3",
        "batch size: 64",
        "optimizer: `sgd`",
        "learning rate: 0.01",
        "seed: 7",
        "training time: 39.4 s",
    ):
        assert f"- {line}\n" in text
    assert "- learning rate: the default of the optimizer\n" in card()


def test_a_card_has_the_metrics_of_each_set_with_their_intervals() -> None:
    text = card()
    assert "| metric | test | training |\n" in text
    assert "| accuracy | 0.9940 (0.9826 to 0.9980) | 0.9942 |\n" in text
    assert "| area under the ROC curve | 0.9997 | - |\n" in text
    assert "the 95 % interval of the accuracy is 0.9826 to 0.9980" in text


def test_a_card_says_whether_the_probabilities_are_calibrated() -> None:
    assert "No temperature was fitted" in card()
    calibration = {
        "temperature": 1.5,
        "fitted_on": 200,
        "before": {"test": {"expected_calibration_error": 0.02}},
        "after": {"test": {"expected_calibration_error": 0.01}},
    }
    text = card(metrics={**METRICS, "calibration": calibration})
    assert "a temperature of 1.5000, fitted on 200 validation images" in text
    assert "from 0.0200 to 0.0100" in text


def test_a_card_says_where_the_model_must_not_be_used() -> None:
    text = card()
    assert "Not for identification of people, and not for decisions about people." in text
    assert "tight, aligned faces" in text
    assert "Near-duplicates were not kept together" not in text
    assert "Near-duplicates were not kept together" in card("split.near_duplicates=ignore")


def test_a_card_names_the_versions() -> None:
    text = card()
    assert "- Python: `3.11.2`\n- Spark: `4.0.0`\n- keras: `3.15.1`\n" in text
    assert "- Digest of architecture and weights: `fedcba9876543210`\n" in text


def test_a_card_shows_the_scorer_only_if_there_is_a_model_for_it() -> None:
    assert 'scorer = Scorer.load("FOLDER")' in card()
    text = card(model=replace(MODEL, files=frozenset({"model.keras"})))
    assert "Scorer.load(" not in text
    assert "glasses-spark export --model FOLDER --format onnx" in text


def test_a_card_of_a_run_without_optional_data_is_complete() -> None:
    bare = {
        "test": {"rows": 10, "accuracy": 0.9},
        "data": {"images": 12},
        "environment": {},
    }
    text = render_model_card(bare, [], "", MODEL)
    assert "9 of 10 test images are classified correctly." in text
    assert "None" not in text
    assert "``" not in text.replace("```", "")


@pytest.mark.parametrize("text", INJECTIONS)
def test_text_from_outside_is_shown_and_is_no_markup(text: str) -> None:
    quoted = toml_text(text)
    config = f"[data]\nimages = {quoted}\nlabels = {quoted}\n[run]\ndir = {quoted}\n"
    config += f"[training]\noptimizer = {quoted}\n"
    assert tomllib.loads(config)["data"]["images"] == text
    hostile = {
        **METRICS,
        "digests": {"data": text},
        "environment": {"python": text, "packages": {"keras": text}},
    }

    page = html(card(metrics=hostile, config=config, model=replace(MODEL, labels=(text, text))))

    harmless = html(card(config="[data]\nimages = 'a'\nlabels = 'a'\n[run]\ndir = 'a'\n"))
    for tag in ("<img", "<script", "<b>", "<i>", "<a ", "<strong"):
        assert tag not in page
    assert page.count("<h") == harmless.count("<h")
    assert page.count("<table>") == harmless.count("<table>")
    assert not any(mark in page for mark in "\x1b\x9b\u202e\u2028\r")


def test_a_path_is_shown_as_it_is() -> None:
    path = "C:\\faces | `glasses` & <more>_*"
    page = Page(html(card(config=f"[data]\nimages = {toml_text(path)}\n")))
    assert f"Images: {path}" in page.text
