"""Writes the tables and plots of the documentation from the files in results/.

    python benchmarks/figures.py [--check]

A place in a page is marked by `<!-- figures: NAME -->` and `<!-- end -->`; what
stands between them is written anew. With --check nothing is written, and the
exit code is 1 where a page is not up to date.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from environment import RESULTS

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "docs" / "distributed-training.md", ROOT / "docs" / "performance.md"]
PLACE = re.compile(r"(<!-- figures: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

KERAS = "#444444"
# By Okabe and Ito: told apart also by those who see fewer colours.
COLOURS = ("#0072b2", "#56b4e9", "#d55e00", "#e69f00", "#009e73", "#cc79a7", "#000000", "#999999")


def main() -> None:
    arguments = _arguments()
    stale = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        written = PLACE.sub(lambda found: found[1] + TABLES[found[2]]() + found[3], text)
        if written != text:
            stale.append(page.name)
            if not arguments.check:
                page.write_text(written, encoding="utf-8")
    if arguments.check:
        raise SystemExit(f"not up to date: {', '.join(stale)}" if stale else 0)
    plot_training(ROOT / "docs" / "distributed-training.svg")


def training_table() -> str:
    """Speed, start-up, waiting and accuracy of each way to train."""
    speed, accuracy = _result("training"), _result("accuracy")
    lines = [
        _where(speed, "bench_training.py"),
        "",
        "| | samples/s | of Keras | start-up, first fit | later fits | waiting for the server "
        "| test accuracy | against Keras |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in speed["table"].items():
        if row["samples_per_second"] is None:
            continue
        learned = accuracy["table"].get(name)
        rounds = [one["samples_per_second"] for one in speed["rounds"][name]]
        cells = [
            f"{row['samples_per_second']:.0f} ({min(rounds):.0f} to {max(rounds):.0f})",
            f"{row['ratio_to_keras']:.2f}",
            _or_dash(row["startup_first_s"], "{:.1f} s"),
            _or_dash(row["startup_later_s"], "{:.1f} s"),
            _or_dash(row["waiting"], "{:.1%}"),
            _or_dash(learned and learned["median_accuracy"], "{:.4f}"),
            _or_dash(learned and learned["points_above_keras"], "{:+.2f} points"),
        ]
        lines.append(f"| {_title(name)} | {' | '.join(cells)} |")
    shipped = speed["table"].get("elephas as shipped")
    lines.append("")
    if shipped:
        ours, short = (
            speed["table"][f"synchronous/epoch{precision}"]["total_s"]
            for precision in ("", "/bfloat16")
        )
        lines += [
            f"Elephas 7.3.0 as shipped took {shipped['total_s']:.0f} s for the same fit of "
            f"{speed['settings']['epochs']} epochs, start-up included, where ours of the same kind "
            f"(synchronous, by epoch) took {ours:.0f} s: {shipped['total_s'] / ours:.1f} times. In "
            f"bfloat16 it took {short:.0f} s: {shipped['total_s'] / short:.1f} times.",
            "",
        ]
    rows = accuracy["settings"]["rows"]
    lines += [
        f"Accuracy: median of {accuracy['settings']['seeds']} seeds after "
        f"{accuracy['settings']['epochs']} epochs over {rows['train']:,} drawn faces, on "
        f"{rows['test']:,} others (`benchmarks/bench_accuracy.py`).",
        "",
        "![Samples a second, and accuracy after each epoch, of each way to train]"
        "(distributed-training.svg)",
        "",
    ]
    return "\n".join(lines)


def stale_table() -> str:
    """Accuracy of asynchronous fits with stale updates whole and in part, by workers."""
    found = [_result(f"accuracy_stale_{workers}") for workers in (2, 4, 8)]
    lines = [
        "| workers | plain Keras | stale updates whole: median (worst) | in part: median (worst) |",
        "| ---: | ---: | ---: | ---: |",
    ]
    for result in found:
        table = result["table"]
        whole, part = (
            "{:.3f} ({:.3f})".format(row["median_accuracy"], min(row["accuracies"]))
            for row in (table["asynchronous/batch/whole"], table["asynchronous/batch"])
        )
        keras = table["keras"]["median_accuracy"]
        lines.append(f"| {result['settings']['workers']} | {keras:.3f} | {whole} | {part} |")
    settings = found[0]["settings"]
    rows = settings["rows"]
    lines += [
        "",
        f"Test accuracy on {rows['test']:,} faces after {settings['epochs']} epochs over "
        f"{rows['train']:,}, asynchronous by batch, {settings['seeds']} seeds "
        "(`benchmarks/bench_accuracy.py --workers N --ways asynchronous/batch "
        "asynchronous/batch/whole`).",
        "",
    ]
    return "\n".join(lines)


def plot_training(path: Path) -> None:
    """Draw speed as bars and accuracy by epoch as lines."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    # The same file for the same figures.
    mpl.rcParams.update({"svg.hashsalt": "glasses-spark", "font.size": 9, "svg.fonttype": "none"})
    speed, accuracy = _result("training"), _result("accuracy")
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), width_ratios=(1, 1.3))
    bars = {n: r["samples_per_second"] for n, r in speed["table"].items() if r["ratio_to_keras"]}
    colours = [KERAS if name == "keras" else COLOURS[0] for name in bars]
    left.barh([_title(name) for name in bars], list(bars.values()), color=colours)
    left.axvline(bars["keras"], color=KERAS, linewidth=0.8)
    left.invert_yaxis()
    left.set_xlabel(f"samples a second, {speed['machine']['cores']} cores")
    for number, (name, rounds) in enumerate(accuracy["rounds"].items()):
        curves = [one["curve"] for one in rounds]
        medians = [statistics.median(values) for values in zip(*curves, strict=True)]
        style = {"color": KERAS, "linewidth": 2.5} if name == "keras" else {}
        right.plot(
            range(1, len(medians) + 1),
            medians,
            **({"color": COLOURS[(number - 1) % len(COLOURS)]} | style),
            label=_title(name),
        )
    right.set_xlabel("epoch")
    right.set_ylabel("accuracy on held-back faces, median of seeds")
    right.set_ylim(0.5, 1.005)
    right.legend(fontsize=7.5, loc="lower right")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
    print(path)


def performance_table() -> str:
    """Decoding, the pixel store, scoring and whole jobs."""
    decode, store, scoring, whole = (
        _result(name) for name in ("decode", "preprocess", "scoring", "end_to_end")
    )
    lines = [
        f"On {store['machine']['cores']} cores ({store['machine']['processor']}).",
        "",
        "| 1024 x 1024 RGB PNG to 128 x 128 grey, one core | ms | of OpenCV's speed |",
        "| --- | ---: | ---: |",
    ]
    for name, row in decode["table"].items():
        ratio = _or_dash(row.get("ratio_to_opencv"), "{:.2f}")
        lines.append(f"| {name} | {row['ms']:.1f} | {ratio} |")
    rate, entries = "images_per_second", store["settings"]["entries"]
    lines += [
        "",
        f"| Pixel store, PNGs of 1024 x 1024, {store['settings']['workers']} workers | |",
        "| --- | ---: |",
        f"| filling it with {store['settings']['pictures']:,} (list, join, decode, write) "
        f"| {store[f'ours_{rate}']:.0f} images/s |",
        f"| filling it with {entries:,} | {entries / store['fill_s'][str(entries)]:.0f} images/s |",
        f"| bare Python processes that only decode | {store[f'bare_{rate}']:.0f} images/s |",
        f"| ratio, for {store['settings']['pictures']:,} | {store['ratio_to_bare']:.2f} |",
        f"| opening a store of {entries:,} images again | {store['warm_store_s']:.1f} s |",
        "",
        "| Scoring, rows from Parquet | rows/s | of Keras |",
        "| --- | ---: | ---: |",
    ]
    for name, row in scoring["table"].items():
        lines.append(f"| {name} | {row['rows_per_second']:.0f} | {row['ratio_to_keras']:.2f} |")
    columns = [f"{int(images):,} images | of Keras" for images in whole["table"]]
    lines += [
        "",
        f"| Whole job, {whole['settings']['epochs']} epochs, start of the process to metrics | "
        + " | ".join(columns)
        + " |",
        "| --- |" + " ---: |" * 2 * len(columns),
    ]
    for name in next(iter(whole["table"].values())):
        cells = [
            f"{table[name]['seconds']:.0f} s | {table[name]['times_as_long_as_keras']:.2f}"
            for table in whole["table"].values()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


TABLES: Mapping[str, Callable[[], str]] = {
    "stale": stale_table,
    "training": training_table,
    "performance": performance_table,
}


def _result(name: str) -> Any:
    return json.loads((RESULTS / f"{name}.json").read_text())


def _where(result: Any, script: str) -> str:
    settings, machine = result["settings"], result["machine"]
    return (
        f"The CNN, {settings['rows']:,} rows, batches of {settings['batch_size']}, "
        f"{settings['workers']} workers on {machine['cores']} cores ({machine['processor']}), "
        f"medians of {settings['repeats']} rounds (`benchmarks/{script}`, commit "
        f"{result['commit']})."
    )


def _title(name: str) -> str:
    if name == "keras":
        return "plain Keras"
    mode, frequency, *precision = name.split("/")
    return ", ".join([f"{mode} by {frequency}", *precision])


def _or_dash(value: float | None, form: str) -> str:
    return "-" if value is None else form.format(value)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, tell what is stale")
    return parser.parse_args()


if __name__ == "__main__":
    main()
