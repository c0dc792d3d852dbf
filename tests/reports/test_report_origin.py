"""Tests for glasses_spark.reports.report_origin."""

from __future__ import annotations

from glasses_spark.reports.report_origin import (
    images_table,
    origin_section,
    quarantine_caption,
    time_table,
)
from tests.html_page import Page
from tests.reports.pages import METRICS, render


def test_counts_of_images_have_titles_and_unknown_ones_their_name() -> None:
    assert images_table(
        {"images": 10, "quarantined": 2, "new_reason": 1, "note": "text"}, {"not_png": 2}
    ) == [
        ("found", 10),
        ("quarantined: cannot be read or decoded", 2),
        ("new reason", 1),
        ("quarantined: not png", 2),
    ]


def test_the_stages_add_up_to_the_total() -> None:
    rows = time_table({"preprocess_s": 4.0, "fit_s": 12.0, "total_s": 20.0})
    assert [(row["name"], row["seconds"], row["percent"]) for row in rows] == [
        ("listing and decoding", "4.00", 20.0),
        ("training", "12.00", 60.0),
        ("other", "4.00", 20.0),
        ("total", "20.00", 100.0),
    ]


def test_the_provenance_has_groups_for_data_machine_and_packages() -> None:
    groups = {
        group["title"]: group["rows"] for group in origin_section(METRICS, {"run": {"seed": 7}})
    }
    assert groups == {
        "Data and weights": [
            ("seed", "7"),
            ("data digest", "0123456789abcdef"),
            ("weights digest", "fedcba9876543210"),
            ("images decoded", "2,391"),
            ("images reused", "0"),
        ],
        "Machine": [("cpus", "2")],
        "Packages": [("keras", "3.15.1")],
    }


def test_a_run_without_quarantined_images_says_so() -> None:
    assert "No image is quarantined." in Page(render(quarantine=[])).text


def test_a_long_quarantine_is_shortened() -> None:
    assert quarantine_caption(100) == "Quarantined images."
    many = [(f"file:/faces/{number}.png", "damaged") for number in range(10_000)]
    page = Page(render(quarantine=many))
    assert "the first 100 of 10,000; quarantine.csv lists all" in page.text
    assert "/99.png" in page.text
    assert "/100.png" not in page.text
