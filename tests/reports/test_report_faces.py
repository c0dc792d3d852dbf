"""Tests for glasses_spark.reports.report_faces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from glasses_spark.reports.gallery import Gallery
from glasses_spark.reports.report_faces import gallery_sections
from tests.html_page import Page
from tests.reports import pages
from tests.reports.pages import render


def test_faces_and_maps_have_text_alternatives() -> None:
    mistakes, uncertain = gallery_sections(pages.gallery())

    assert (mistakes["anchor"], uncertain["anchor"]) == ("mistakes", "uncertain")
    face = mistakes["faces"][0]
    assert face["alt"] == "Image 0: label no glasses, probability of glasses 0.8750"
    assert face["overlay_alt"] == (
        "Occlusion map of image 0: strongest in the upper left, evidence for glasses"
    )
    assert (face["predicted"], face["label"]) == ("Predicted glasses", "no glasses")
    assert mistakes["legend"].startswith("Occlusion map")


def test_a_run_without_pictures_says_so() -> None:
    assert "This run has no pictures." in Page(render(gallery=None)).text


def test_a_run_without_errors_says_so() -> None:
    assert "Every test image is classified correctly." in Page(render(gallery=Gallery((), ()))).text


def test_a_face_without_a_map_has_no_overlay_and_no_legend() -> None:
    face = replace(pages.gallery().mistakes[1], evidence=None)
    page = Page(render(gallery=Gallery((face,), ())))
    assert len(page.all("img")) == 1
    assert "Occlusion map" not in page.text


def test_a_map_without_evidence_says_so() -> None:
    face = replace(pages.gallery().mistakes[1], evidence=np.zeros((32, 32), np.float32))
    section = next(gallery_sections(Gallery((face,), ())))
    assert section["faces"][0]["overlay_alt"].endswith("no region changes the logit")
