"""Tests for glasses_spark.reports.plots.palette."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from glasses_spark.reports.plots.palette import CSS_VARIABLES, DARK, LIGHT, Palette
from tests.contrast import contrast


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_text_of_every_colour_is_readable_on_both_backgrounds(palette: Palette) -> None:
    colours = asdict(palette)
    for background in ("paper", "page"):
        for role in ("ink", "muted", "glasses", "none", "third", "fourth"):
            # Web Content Accessibility Guidelines 2.2, success criterion 1.4.3.
            assert contrast(colours[role], colours[background]) >= 4.5, (role, background)


def test_placeholders_are_unique_and_differ_from_real_colours() -> None:
    placeholders = set(asdict(CSS_VARIABLES).values())
    assert len(placeholders) == len(asdict(LIGHT))
    assert not placeholders & {*asdict(LIGHT).values(), *asdict(DARK).values()}
