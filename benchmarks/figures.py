"""Generate the tables and plots of the documentation from the result files.

    python benchmarks/figures.py [--check]

Replaces the text between `<!-- figures: NAME -->` and `<!-- end -->` in each page. With
--check, writes nothing and exits with 1 if a page is out of date.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from performance_tables import performance_table, readme_table, ten_million_table
from training_tables import exchange_table, plot_training, stale_table, training_table

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "docs" / "distributed-training.md",
    ROOT / "docs" / "performance.md",
]
BLOCK = re.compile(r"(<!-- figures: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

TABLES: Mapping[str, Callable[[], str]] = {
    "exchange": exchange_table,
    "stale": stale_table,
    "training": training_table,
    "performance": performance_table,
    "readme": readme_table,
    "ten-million": ten_million_table,
}


def main() -> None:
    arguments = _arguments()
    stale = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        written = BLOCK.sub(lambda match: match[1] + TABLES[match[2]]() + match[3], text)
        if written != text:
            stale.append(page.name)
            if not arguments.check:
                page.write_text(written, encoding="utf-8")
    if arguments.check:
        raise SystemExit(f"out of date: {', '.join(stale)}" if stale else 0)
    plot_training(ROOT / "docs" / "distributed-training.svg")
    # Imported here because matplotlib takes a second, and --check does not need it.
    from performance_plots import plot_all

    for path in plot_all(ROOT / "docs" / "images"):
        print(path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing, report pages that are out of date"
    )
    return parser.parse_args()


if __name__ == "__main__":
    main()
