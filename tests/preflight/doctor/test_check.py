"""Tests for glasses_spark.preflight.doctor.check."""

from __future__ import annotations

from glasses_spark.preflight.doctor.check import FAILED, OK, WARNING, Check, as_dict, render

JAVA = Check("Java", OK, "17.0.15", "Java 17 or 21")
SLOTS = Check("Slots", WARNING, "2", "4", "Take 2.")
OPENCV = Check("OpenCV", FAILED, "none", "one", "Install it.")


def test_the_text_shows_what_was_wanted_and_what_to_do_where_something_is_wrong() -> None:
    assert render([JAVA, SLOTS, OPENCV]).splitlines() == [
        "ok    Java    17.0.15",
        "warn  Slots   2; wanted 4",
        "              Take 2.",
        "FAIL  OpenCV  none; wanted one",
        "              Install it.",
        "1 of 3 checks failed.",
    ]


def test_a_warning_leaves_a_run_to_start() -> None:
    assert render([JAVA, SLOTS]).endswith("A run can start; 1 of 2 checks have a warning.")
    assert SLOTS.ok


def test_all_well_is_said() -> None:
    assert render([JAVA]).endswith("\nAll is well: a run can start.")


def test_json_has_every_attribute_and_the_verdict_of_all() -> None:
    assert as_dict([JAVA, SLOTS])["ok"] is True
    assert as_dict([JAVA, OPENCV]) == {
        "ok": False,
        "checks": [
            {
                "name": "Java",
                "verdict": "ok",
                "found": "17.0.15",
                "wanted": "Java 17 or 21",
                "advice": "",
            },
            {
                "name": "OpenCV",
                "verdict": "failed",
                "found": "none",
                "wanted": "one",
                "advice": "Install it.",
            },
        ],
    }
