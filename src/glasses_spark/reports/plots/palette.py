"""Palette: colours of the plots, light and dark."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final


@dataclass(frozen=True)
class Palette:
    """The colours of a plot, each by what it is for.

    Attributes:
        ink: Text that is read first.
        muted: Numbers along the axes, and what a curve is compared with.
        line: Grid.
        paper: Behind a plot, a table or a text that stands by itself.
        page: Behind all of these.
        glasses: Images with glasses; the first series.
        none: Images without; the second series.
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
        """The colours of series, in their order."""
        return (self.glasses, self.none, self.third, self.fourth)


# Told apart by people with any colour vision; at least 4.5 to 1 against their paper.
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

# Drawn with on the page: each is then replaced by the CSS variable of the same name, so that
# a plot follows the scheme of its reader. No colour that is meant looks like these.
CSS_VARIABLES: Final = Palette(
    **{name: f"#0f0e{place:02x}" for place, name in enumerate(asdict(LIGHT))}
)
