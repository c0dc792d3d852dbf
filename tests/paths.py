"""Paths: where the tests find the project and, on some machines, the real labels."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
# The published labels. They are not committed: tests that read them are skipped without.
REAL_LABELS: Final = ROOT.parent / "shared" / "data" / "labels.csv"
