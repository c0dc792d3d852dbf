"""Tables of the README and of docs/performance.md, from the result files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from environment import format_or_dash, read_result

# Additional time for a file that Java reads from an object store instead of a disk.
JAVA_MS = 10.0


def performance_table() -> str:
    """Return the tables of decoding, pixel store, scoring, whole jobs and growth, with plots."""
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
        "| 1024 x 1024 RGB PNG to 128 x 128 grey, one core | ms | speed relative to OpenCV |",
        "| --- | ---: | ---: |",
    ]
    for name, row in result["table"].items():
        ratio = format_or_dash(row.get("ratio_to_opencv"), "{:.2f}")
        lines.append(f"| {name} | {row['ms']:.1f} | {ratio} |")
    return [*lines, *_plot("decode", "Milliseconds to decode a picture, by decoder")]


def _store_lines(store: Any) -> list[str]:
    rate, settings = "images_per_second", store["settings"]
    entries = settings["entries"]
    bare, settled = store[f"bare_{rate}"], store[f"settled_{rate}"]
    rates = {
        f"fill a new store with {settings['pictures']:,} images (list, join, decode, write)": store[
            f"ours_{rate}"
        ],
        f"fill a new store with {entries:,} images": entries / store["fill_s"][str(entries)],
        "bare Python processes that only decode": bare,
        "bare processes with reused memory, as in this library": settled,
    }
    return [
        f"| Pixel store, PNGs of 1024 x 1024, {settings['workers']} workers | images/s "
        "| relative to bare processes | relative to those with reused memory |",
        "| --- | ---: | ---: | ---: |",
        *(
            f"| {name} | {rate:.0f} | {rate / bare:.2f} | {rate / settled:.2f} |"
            for name, rate in rates.items()
        ),
        "",
        f"Opening a store of {entries:,} images again, without new ones: "
        f"{store['warm_store_s']:.2f} s. All with a running Spark.",
        *_plot("preprocess", "Images per second into the pixel store, and by bare processes"),
    ]


def _scoring_lines() -> list[str]:
    result = read_result("scoring")
    lines = [
        f"| Scoring {result['settings']['rows']:,} rows | rows/s | relative to Keras |",
        "| --- | ---: | ---: |",
    ]
    for name, row in result["table"].items():
        lines.append(f"| {name} | {row['rows_per_second']:.0f} | {row['ratio_to_keras']:.2f} |")
    return [*lines, *_plot("scoring", "Rows scored per second")]


def _whole_lines() -> list[str]:
    result = read_result("end_to_end")
    lines = []
    for images, table in result["table"].items():
        lines += [
            f"| Whole job, {int(images):,} images, {result['settings']['epochs']} epochs "
            "| seconds, start to exit | time relative to Keras | seconds to the test metrics "
            "| CPU seconds | peak memory, shared pages once | resident |",
            "| --- |" + " ---: |" * 6,
        ]
        keras = table["keras, one process"]["seconds"]
        for name, row in table.items():
            cells = [
                f"{row['seconds']:.1f}",
                f"{row['seconds'] / keras:.2f}",
                "failed" if row["failed"] else f"{row['answer_s']:.1f}",
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
        "| driver's Python | Python workers | JVM | live heap |",
        "| --- |" + " ---: |" * 5,
        *(f"| {run['images']:,} images | {_memory_cells(run)} |" for run in result["prepare"]),
        "",
        f"| `train`, one epoch, store filled, heap of {settings['heap']} | seconds "
        "| driver's Python | Python workers | JVM | live heap |",
        "| --- |" + " ---: |" * 5,
        *(f"| {run['images']:,} images | {_memory_cells(run)} |" for run in result["train"]),
        "",
        f"`prepare` takes {line['start_s']:.1f} s + {line['ms_an_image']:.2f} ms per image, within "
        f"{line['off_by']:.0%}. The live heap is the largest heap after a garbage collection.",
    ]
    return [*lines, *_plot("scale", "Seconds and peak memory of prepare over the images")]


def _memory_cells(run: Mapping[str, Any]) -> str:
    keys = ("driver_mb", "python workers_mb", "jvm_mb", "jvm_heap_after_collection_mb")
    return " | ".join([f"{run['seconds']:.1f}", *(f"{run[key]:,} MiB" for key in keys)])


def _plot(name: str, text: str) -> list[str]:
    return ["", f"![{text}](images/{name}.svg)"]


def ten_million_table() -> str:
    """Return an extrapolation of the measured rates to ten million photos and 100 cores."""
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
        ("distribute the rows to the workers", None, "164 GB", "164 GB"),
        ("one epoch, float32", train_ms, "164 GB", "1.7 MB per worker and step"),
        ("score all", score_ms, "164 GB", "1 GB"),
    ]
    lines = [
        "| Stage | Read | Written or shuffled | CPU ms per image | Core-hours | On 100 cores |",
        "| --- |" + " ---: |" * 5,
    ]
    for stage, cost, read, written in stages:
        cells = ["-", "not measured", "not measured"]
        if cost is not None:
            hours = 1e7 * cost / 3.6e6
            cells = [f"{cost:.1f}", f"{hours:.1f}", f"{0.6 * hours:.0f} min"]
        if "12 TB" in read:
            cells[-1] += f", if the storage reads {12e3 / (36 * hours):.1f} GB/s"
        lines.append(f"| {stage} | {read} | {written} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def readme_table() -> str:
    """Return the comparisons with other programs, one row each."""
    decode, store, scoring = (read_result(name) for name in ("decode", "preprocess", "scoring"))
    whole = read_result("end_to_end")
    entries = store["settings"]["entries"]
    filled = entries / store["fill_s"][str(entries)]
    bare = store["settled_images_per_second"]
    decoders, scorers = decode["table"], scoring["table"]
    rows = [
        _comparison(
            "decode a PNG file of 1024 x 1024, one core",
            f"{decoders['glasses_spark']['ms']:.1f} ms",
            f"OpenCV: {decoders['OpenCV']['ms']:.1f} ms",
            decoders["glasses_spark"]["ratio_to_opencv"],
        ),
        _comparison(
            f"fill the pixel store with {entries:,} of these",
            f"{filled:.0f} images/s",
            f"bare processes with the same decoder: {bare:.0f} images/s",
            filled / bare,
        ),
        _comparison(
            f"score {scoring['settings']['rows']:,} rows",
            f"{scorers['glasses_spark']['rows_per_second']:,.0f} rows/s",
            f"Keras, rows in memory: {scorers['keras predict']['rows_per_second']:,.0f} rows/s",
            scorers["glasses_spark"]["ratio_to_keras"],
        ),
    ]
    for images, table in whole["table"].items():
        job = f"whole job, {int(images):,} images"
        ours = [name for name in table if name.startswith("glasses_spark")]
        others = [name for name in table if name not in ours]
        pairs = [(name, others[0]) for name in ours] + [(ours[0], name) for name in others[1:]]
        for own, other in pairs:
            seconds, theirs = table[own]["seconds"], table[other]
            failed = ", then failed" if theirs["failed"] else ""
            until = theirs["seconds"]
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
            f"| {where} | glasses_spark | compared with | times as fast |",
            "| --- | ---: | ---: | ---: |",
            *rows,
            "",
        ]
    )


def _comparison(work: str, ours: str, other: str, ratio: float) -> str:
    return f"| {work} | {ours} | {other} | {ratio:.2f} |"
