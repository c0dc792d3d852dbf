"""Writes the tables and plots of the documentation from the files in results/.

    python benchmarks/figures.py [--check]

A place in a page is marked by `<!-- figures: NAME -->` and `<!-- end -->`; what
stands between them is written anew. With --check nothing is written, and the
exit code is 1 where a page is not up to date.
"""

from __future__ import annotations

import argparse
import re
import statistics
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from environment import read_result

ROOT = Path(__file__).parent.parent
PAGES = [
    ROOT / "README.md",
    ROOT / "docs" / "distributed-training.md",
    ROOT / "docs" / "performance.md",
]
PLACE = re.compile(r"(<!-- figures: (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)

# More for a file that comes through Java, from an object store, than for one on a disk.
JAVA_MS = 10.0

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
    # Imported here: matplotlib takes a second, and a check does without.
    from performance_plots import plot_all

    for path in plot_all(ROOT / "docs" / "images"):
        print(path)


def training_table() -> str:
    """Speed, start-up, waiting and accuracy of each way to train."""
    speed, accuracy = read_result("training"), read_result("accuracy")
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
    found = [read_result(f"accuracy_stale_{workers}") for workers in (2, 4, 8)]
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
    speed, accuracy = read_result("training"), read_result("accuracy")
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
    """Decoding, the pixel store, scoring, whole jobs and growth, each with its plot."""
    store = read_result("preprocess")
    lines = [
        f"On {store['machine']['cores']} cores ({store['machine']['processor']}).",
        *("", *_decode_lines()),
        *("", *_store_lines(store)),
        *("", *_scoring_lines()),
        *("", *_whole_lines()),
        *("", *_scale_lines()),
    ]
    return "\n".join([*lines, ""])


def _decode_lines() -> list[str]:
    result = read_result("decode")
    lines = [
        "| 1024 x 1024 RGB PNG to 128 x 128 grey, one core | ms | of OpenCV's speed |",
        "| --- | ---: | ---: |",
    ]
    for name, row in result["table"].items():
        ratio = _or_dash(row.get("ratio_to_opencv"), "{:.2f}")
        lines.append(f"| {name} | {row['ms']:.1f} | {ratio} |")
    return [*lines, *_plot("decode", "Milliseconds to decode a picture, by decoder")]


def _store_lines(store: Any) -> list[str]:
    rate, settings = "images_per_second", store["settings"]
    entries = settings["entries"]
    bare, settled = store[f"bare_{rate}"], store[f"settled_{rate}"]
    rates = {
        f"filling it with {settings['pictures']:,} (list, join, decode, write)": store[
            f"ours_{rate}"
        ],
        f"filling it with {entries:,}": entries / store["fill_s"][str(entries)],
        "bare Python processes that only decode": bare,
        "the same, memory set up as here": settled,
    }
    return [
        f"| Pixel store, PNGs of 1024 x 1024, {settings['workers']} workers | images/s "
        "| of bare processes | of such with memory set up |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {name} | {found:.0f} | {found / bare:.2f} | {found / settled:.2f} |"
            for name, found in rates.items()
        ),
        "",
        f"Opening a store of {entries:,} images again, none of them new: "
        f"{store['warm_store_s']:.2f} s. All in a Spark that runs already.",
        *_plot("preprocess", "Images a second into the pixel store, and by bare processes"),
    ]


def _scoring_lines() -> list[str]:
    result = read_result("scoring")
    lines = [
        f"| Scoring {result['settings']['rows']:,} rows | rows/s | of Keras |",
        "| --- | ---: | ---: |",
    ]
    for name, row in result["table"].items():
        lines.append(f"| {name} | {row['rows_per_second']:.0f} | {row['ratio_to_keras']:.2f} |")
    return [*lines, *_plot("scoring", "Rows scored a second")]


def _whole_lines() -> list[str]:
    result = read_result("end_to_end")
    lines = []
    for images, table in result["table"].items():
        lines += [
            f"| Whole job, {int(images):,} images, {result['settings']['epochs']} epochs "
            "| seconds to the test figures | of Keras | seconds to the end | CPU seconds "
            "| peak memory, shared pages once | as resident |",
            "| --- |" + " ---: |" * 6,
        ]
        for name, row in table.items():
            cells = [
                "failed" if row["failed"] else f"{row['answer_s']:.1f}",
                f"{row['times_as_long_as_keras']:.2f}",
                f"{row['seconds']:.1f}",
                f"{row['cpu_s']:.0f}",
                f"{row['peak_shared_once_mb'] / 1024:.1f} GiB",
                f"{row['peak_mb'] / 1024:.1f} GiB",
            ]
            lines.append(f"| {name} | {' | '.join(cells)} |")
        lines.append("")
    return [*lines[:-1], *_plot("end-to-end", "Seconds and peak memory of whole jobs")]


def _scale_lines() -> list[str]:
    result = read_result("scale")
    line, settings = result["prepare_line"], result["settings"]
    lines = [
        f"| `prepare`, new store, PNGs of {settings['size']} x {settings['size']} | seconds "
        "| driver's Python | Python workers | JVM | its heap after a collection |",
        "| --- |" + " ---: |" * 5,
        *(f"| {run['images']:,} images | {_memory_cells(run)} |" for run in result["prepare"]),
        "",
        f"| `train`, one epoch, store filled, heap of {settings['heap']} | seconds "
        "| driver's Python | Python workers | JVM | its heap after a collection |",
        "| --- |" + " ---: |" * 5,
        *(f"| {run['images']:,} images | {_memory_cells(run)} |" for run in result["train"]),
        "",
        f"Through the seconds of `prepare` goes the line {line['start_s']:.1f} s + "
        f"{line['ms_an_image']:.2f} ms an image; none lies further off than "
        f"{line['off_by']:.0%}.",
    ]
    return [*lines, *_plot("scale", "Seconds and peak memory of prepare over the images")]


def _memory_cells(run: Mapping[str, Any]) -> str:
    keys = ("driver_mb", "python workers_mb", "jvm_mb", "jvm_heap_after_collection_mb")
    return " | ".join([f"{run['seconds']:.1f}", *(f"{run[key]:,} MiB" for key in keys)])


def _plot(name: str, text: str) -> list[str]:
    return ["", f"![{text}](images/{name}.svg)"]


def ten_million_table() -> str:
    """What the measured rates come to for ten million photographs and 100 cores."""
    store, scoring, training = (read_result(name) for name in ("preprocess", "scoring", "training"))
    entries, workers = store["settings"]["entries"], store["settings"]["workers"]
    decode_ms = 1000 * workers * store["fill_s"][str(entries)] / entries
    train_ms, score_ms = (
        1000 * result["settings"]["workers"] / result["table"][row][rate]
        for result, row, rate in (
            (training, "asynchronous/batch", "samples_per_second"),
            (scoring, "glasses_spark", "rows_per_second"),
        )
    )
    stages = [
        ("decode into the store", decode_ms + JAVA_MS, "12 TB", "164 GB"),
        ("share the rows out to the workers", None, "164 GB", "164 GB"),
        ("one epoch, float32", train_ms, "164 GB", "1.7 MB a worker and step"),
        ("score all", score_ms, "164 GB", "1 GB"),
    ]
    lines = [
        "| Stage | Read | Written or shuffled | ms of a core, an image | Core-hours "
        "| On 100 cores |",
        "| --- |" + " ---: |" * 5,
    ]
    for stage, cost, read, written in stages:
        cells = ["-", "not measured", "not measured"]
        if cost is not None:
            hours = 1e7 * cost / 3.6e6
            cells = [f"{cost:.1f}", f"{hours:.1f}", f"{0.6 * hours:.0f} min"]
        if "12 TB" in read:
            cells[-1] += f", if the storage delivers {12e3 / (36 * hours):.1f} GB/s"
        lines.append(f"| {stage} | {read} | {written} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def readme_table() -> str:
    """One row a comparison, with what it is compared with."""
    decode, store, scoring = (read_result(name) for name in ("decode", "preprocess", "scoring"))
    whole = read_result("end_to_end")
    entries = store["settings"]["entries"]
    filled = entries / store["fill_s"][str(entries)]
    bare = store["settled_images_per_second"]
    decoders, scorers = decode["table"], scoring["table"]
    rows = [
        _comparison(
            "decode a PNG of 1024 x 1024, one core",
            f"{decoders['glasses_spark']['ms']:.1f} ms",
            f"OpenCV: {decoders['OpenCV']['ms']:.1f} ms",
            decoders["glasses_spark"]["ratio_to_opencv"],
        ),
        _comparison(
            f"fill the pixel store with {entries:,} of them",
            f"{filled:.0f} images/s",
            f"bare processes, same decoder and memory: {bare:.0f}",
            filled / bare,
        ),
        _comparison(
            f"score {scoring['settings']['rows']:,} rows",
            f"{scorers['glasses_spark']['rows_per_second']:,.0f} rows/s",
            f"Keras, in memory: {scorers['keras predict']['rows_per_second']:,.0f}",
            scorers["glasses_spark"]["ratio_to_keras"],
        ),
    ]
    for images, table in whole["table"].items():
        job = f"whole job, {int(images):,} images"
        ours = [name for name in table if name.startswith("glasses_spark")]
        others = [name for name in table if name not in ours]
        pairs = [(name, others[0]) for name in ours] + [(ours[0], name) for name in others[1:]]
        for own, other in pairs:
            seconds, theirs = table[own]["answer_s"], table[other]
            failed = ", then it failed" if theirs["failed"] else ""
            until = theirs["answer_s"] or theirs["seconds"]
            rows.append(
                _comparison(
                    job + own.removeprefix("glasses_spark"),
                    f"{seconds:.0f} s",
                    f"{other}: {until:.0f} s{failed}",
                    until / seconds,
                )
            )
    machine = whole["machine"]
    where = f"{machine['cores']} cores, {machine['processor']}"
    return "\n".join(
        [
            f"| {where} | glasses_spark | beside it | times as fast |",
            "| --- | ---: | ---: | ---: |",
            *rows,
            "",
        ]
    )


def _comparison(work: str, ours: str, other: str, ratio: float) -> str:
    return f"| {work} | {ours} | {other} | {ratio:.2f} |"


TABLES: Mapping[str, Callable[[], str]] = {
    "stale": stale_table,
    "training": training_table,
    "performance": performance_table,
    "readme": readme_table,
    "ten-million": ten_million_table,
}


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
