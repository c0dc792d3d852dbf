"""Paths of the project and of data that only some machines have."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
# The published labels, which are not committed. Tests that need them are skipped without.
REAL_LABELS: Final = ROOT.parent / "shared" / "data" / "labels.csv"
