"""Colours of the plots, light and dark."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

# Roles of the series, in order.
SERIES: Final = ("glasses", "none", "third", "fourth")


@dataclass(frozen=True)
class Palette:
    """Colours of a plot by role, as ``#rrggbb``.

    Attributes:
        ink: Main text.
        muted: Tick labels and reference lines.
        line: Grid.
        paper: Background of a plot, a table or a card.
        page: Background of the page.
        glasses: Images with glasses; the first series.
        none: Images without glasses; the second series.
        third: The third series.
        fourth: The fourth series.
    """

    ink: str
    muted: str
    line: str
    paper: str
    page: str
    glasses: str
    none: str
    third: str
    fourth: str

    @property
    def series(self) -> tuple[str, ...]:
        """Colours of the series, in order."""
        return tuple(getattr(self, role) for role in SERIES)

    @property
    def css(self) -> str:
        """CSS variables of the colours, by role."""
        return " ".join(f"--{role}: {colour};" for role, colour in asdict(self).items())


# Distinguishable with any type of colour vision; contrast with the paper at least 4.5:1.
LIGHT: Final = Palette(
    ink="#1b1d21",
    muted="#5a5f68",
    line="#e3e3df",
    paper="#ffffff",
    page="#f6f6f3",
    glasses="#1f5fae",
    none="#b04f0c",
    third="#2a7a4f",
    fourth="#7a4bb0",
)

DARK: Final = Palette(
    ink="#ececee",
    muted="#a6abb4",
    line="#33373e",
    paper="#1c1f24",
    page="#131519",
    glasses="#86b6f6",
    none="#f2a768",
    third="#74cf9b",
    fourth="#c6a6f2",
)

# Placeholders for inline SVG: each is replaced by the CSS variable of the same name, so that a
# plot follows the reader's colour scheme. No real colour has these values.
CSS_VARIABLES: Final = Palette(
    **{name: f"#0f0e{index:02x}" for index, name in enumerate(asdict(LIGHT))}
)
