"""Tests for glasses_spark.preflight.doctor.check."""

from __future__ import annotations

from glasses_spark.preflight.doctor.check import FAILED, OK, WARNING, Check, as_dict, render

JAVA = Check("Java", OK, "17.0.15", "Java 17 or 21")
SLOTS = Check("Slots", WARNING, "2", "4", "Use 2.")
OPENCV = Check("OpenCV", FAILED, "none", "one", "Install it.")


def test_the_text_shows_the_expected_value_and_the_advice_unless_a_check_is_ok() -> None:
    assert render([JAVA, SLOTS, OPENCV]).splitlines() == [
        "ok    Java    17.0.15",
        "warn  Slots   2; expected 4",
        "              Use 2.",
        "FAIL  OpenCV  none; expected one",
        "              Install it.",
        "1 of 3 checks failed.",
    ]


def test_a_run_can_start_despite_a_warning() -> None:
    assert render([JAVA, SLOTS]).endswith("A run can start; 1 of 2 checks have a warning.")
    assert SLOTS.ok


def test_the_summary_says_when_all_checks_passed() -> None:
    assert render([JAVA]).endswith("\nAll checks passed: a run can start.")


def test_json_has_all_attributes_and_an_overall_verdict() -> None:
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
