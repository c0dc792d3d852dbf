"""Draw the plots of docs/performance.md from the result files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from environment import read_result

OURS, OTHERS, FLOOR = "#0072b2", "#8a8a8a", "#d0d0d0"
# The palette of Okabe and Ito, for colour-blind readers.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


def plot_all(folder: Path) -> list[Path]:
    """Draw one SVG file per benchmark into a folder."""
    plots = {
        "decode": plot_decode,
        "preprocess": plot_preprocess,
        "end-to-end": plot_end_to_end,
        "scoring": plot_scoring,
        "scale": plot_scale,
    }
    # Makes the files reproducible.
    mpl.rcParams.update({"svg.hashsalt": "glasses-spark", "font.size": 9, "svg.fonttype": "none"})
    written = []
    for name, plot in plots.items():
        figure = plot()
        for axes in figure.axes:
            axes.spines[["top", "right"]].set_visible(False)
        figure.tight_layout()
        written.append(folder / f"{name}.svg")
        figure.savefig(written[-1], metadata={"Date": None}, facecolor="white", bbox_inches="tight")
        plt.close(figure)
    return written


def plot_decode() -> Figure:
    """Draw the milliseconds to decode a picture."""
    result = read_result("decode")
    figure, axes = plt.subplots(figsize=(7, 2.4))
    table = result["table"]
    _bars(axes, {name: row["ms"] for name, row in table.items()}, "{:.1f}")
    size = result["settings"]["size"]
    axes.set_xlabel(f"ms for an RGB PNG of {size} x {size}, one core, median")
    return figure


def plot_preprocess() -> Figure:
    """Draw the images per second written to the pixel store."""
    result = read_result("preprocess")
    settings = result["settings"]
    entries = settings["entries"]
    rates = {
        f"glasses_spark, store of {settings['pictures']:,}": result["ours_images_per_second"],
        f"glasses_spark, store of {entries:,}": entries / result["fill_s"][str(entries)],
        "bare processes that only decode": result["bare_images_per_second"],
        "the same, reused memory": result["settled_images_per_second"],
    }
    figure, axes = plt.subplots(figsize=(7, 2.2))
    _bars(axes, rates, "{:.0f}")
    axes.set_xlabel(f"images per second, PNG files of 1024 x 1024, {settings['workers']} processes")
    return figure


def plot_end_to_end() -> Figure:
    """Draw the seconds and peak memory of whole jobs."""
    result = read_result("end_to_end")
    tables = result["table"]
    figure, rows = plt.subplots(
        len(tables), 2, figsize=(11, 0.8 + 0.36 * sum(map(len, tables.values()))), squeeze=False
    )
    for (left, right), (images, table) in zip(rows, tables.items(), strict=True):
        marks = {name: " (failed)" if row["failed"] else "" for name, row in table.items()}
        seconds = {name: row["seconds"] for name, row in table.items()}
        _bars(left, seconds, "{:.0f}", marks)
        _bars(
            right,
            {name: row["peak_shared_once_mb"] / 1024 for name, row in table.items()},
            "{:.1f}",
        )
        right.set_yticklabels([])
        left.set_title(f"{int(images):,} images", loc="left", fontweight="bold")
    rows[-1][0].set_xlabel("seconds from process start to exit")
    rows[-1][1].set_xlabel("peak memory of all processes, GiB")
    return figure


def plot_scoring() -> Figure:
    """Draw the rows scored per second."""
    result = read_result("scoring")
    figure, axes = plt.subplots(figsize=(7, 1.5))
    _bars(axes, {name: row["rows_per_second"] for name, row in result["table"].items()}, "{:,.0f}")
    axes.set_xlabel(f"rows scored per second, {result['settings']['rows']:,} rows, median")
    return figure


def plot_scale() -> Figure:
    """Draw the seconds and peak memory against the number of images."""
    result = read_result("scale")
    runs, line = result["prepare"], result["prepare_line"]
    images = [run["images"] for run in runs]
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.8))
    left.plot(images, [run["seconds"] for run in runs], "o", color=OURS, label="prepare, measured")
    left.plot(
        images,
        [line["start_s"] + line["ms_an_image"] * number / 1000 for number in images],
        color=OURS,
        label=f"{line['start_s']:.1f} s and {line['ms_an_image']:.2f} ms per image",
    )
    left.set_ylabel("seconds")
    labels = {
        "driver_mb": "driver, Python",
        "jvm_mb": "JVM",
        "jvm_heap_after_collection_mb": "JVM, heap after a collection",
        "python workers_mb": "Python workers, together",
    }
    for (key, label), colour in zip(labels.items(), COLOURS, strict=True):
        right.plot(images, [run[key] for run in runs], "o-", color=colour, label=label)
    right.set_ylabel("peak memory, MiB")
    for axes in (left, right):
        axes.set_xlabel("images")
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.set_xticks(images, [f"{number:,}" for number in images])
        axes.legend(frameon=False, fontsize=8, ncols=2, loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


def _bars(
    axes: Axes, values: Mapping[str, float], form: str, marks: Mapping[str, str] | None = None
) -> None:
    bars = axes.barh(list(values), list(values.values()), color=_colours(list(values)))
    axes.bar_label(
        bars,
        [form.format(value) + (marks or {}).get(name, "") for name, value in values.items()],
        padding=3,
    )
    axes.invert_yaxis()
    axes.margins(x=0.12)


def _colours(names: Sequence[str]) -> list[Any]:
    def colour(name: str) -> str:
        if name.startswith("glasses_spark"):
            return OURS
        return FLOOR if name.startswith("inflating") else OTHERS

    return [colour(name) for name in names]
