"""Tables and plot of docs/distributed-training.md, from the result files."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from environment import RESULTS, format_or_dash, read_result

KERAS = "#444444"
# The palette of Okabe and Ito, for colour-blind readers.
COLOURS = ("#0072b2", "#56b4e9", "#d55e00", "#e69f00", "#009e73", "#cc79a7", "#000000", "#999999")


def training_table() -> str:
    """Return the table of speed, start-up, waiting and accuracy of each way to train."""
    speed, accuracy = read_result("training"), read_result("accuracy")
    lines = [
        _where(speed, "bench_training.py"),
        "",
        "| | samples/s | relative to Keras | start-up, first fit | later fits | waiting for the "
        "server | test accuracy | difference to Keras |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in speed["table"].items():
        if row["samples_per_second"] is None:
            continue
        learned = accuracy["table"].get(name)
        rates = [fit["samples_per_second"] for fit in speed["rounds"][name]]
        cells = [
            f"{row['samples_per_second']:.0f} ({min(rates):.0f} to {max(rates):.0f})",
            f"{row['ratio_to_keras']:.2f}",
            format_or_dash(row["startup_first_s"], "{:.1f} s"),
            format_or_dash(row["startup_later_s"], "{:.1f} s"),
            format_or_dash(row["waiting"], "{:.1%}"),
            format_or_dash(learned and learned["median_accuracy"], "{:.4f}"),
            format_or_dash(learned and learned["points_above_keras"], "{:+.2f} points"),
        ]
        lines.append(f"| {_title(name)} | {' | '.join(cells)} |")
    shipped = speed["table"].get("elephas as shipped")
    lines.append("")
    if shipped:
        ours, bfloat16 = (
            speed["table"][f"synchronous/epoch{precision}"]["total_s"]
            for precision in ("", "/bfloat16")
        )
        lines += [
            f"Elephas 7.3.0 as shipped took {shipped['total_s']:.0f} s for the same fit of "
            f"{speed['settings']['epochs']} epochs, start-up included. Synchronous training by "
            f"epoch with this library took {ours:.0f} s ({shipped['total_s'] / ours:.1f} times as "
            f"fast), and in bfloat16 {bfloat16:.0f} s ({shipped['total_s'] / bfloat16:.1f} times).",
            "",
        ]
    rows = accuracy["settings"]["rows"]
    lines += [
        f"Accuracy: median of {accuracy['settings']['seeds']} seeds after "
        f"{accuracy['settings']['epochs']} epochs, with {rows['train']:,} drawn faces in the "
        f"training set and {rows['test']:,} in the test set (`benchmarks/bench_accuracy.py`).",
        "",
        "![Samples per second, and accuracy after each epoch, of each way to train]"
        "(distributed-training.svg)",
        "",
    ]
    return "\n".join(lines)


# The ways of the table of stale updates, and what they are called there.
STALE_WAYS = {
    "keras": "plain Keras",
    "asynchronous/batch": "asynchronous by batch",
    "asynchronous/batch/slow": "asynchronous by batch, one worker four times slower",
    "hogwild/batch": "hogwild by batch",
    "asynchronous/batch/scaled_rate": "asynchronous by batch, `scaled_rate`",
    "asynchronous/epoch": "asynchronous by epoch",
    "hogwild/epoch": "hogwild by epoch",
    "asynchronous/epoch/scaled_rate": "asynchronous by epoch, `scaled_rate`",
}


def stale_table() -> str:
    """Return accuracy and log loss of asynchronous fits, by rule."""
    lines = [
        "| faces | workers | | accuracy: median (worst) | log loss: median (worst) |",
        "| --- | ---: | --- | ---: | ---: |",
    ]
    for path in sorted(RESULTS.glob("accuracy_stale_*.json")):
        result = read_result(path.stem)
        settings = result["settings"]
        rows = settings["rows"]
        faces = f"{'hard' if settings['hard'] else 'drawn'}, {rows['train']:,}"
        for way, title in STALE_WAYS.items():
            if way not in result["table"]:
                continue
            row = result["table"][way]
            line = (
                f"| {faces} | {1 if way == 'keras' else settings['workers']} | {title} "
                f"| {row['median_accuracy']:.4f} ({min(row['accuracies']):.4f}) "
                f"| {row['median_log_loss']:.4f} ({max(row['log_losses']):.4f}) |"
            )
            if line not in lines:  # plain Keras is measured beside each number of workers
                lines.append(line)
    lines += [
        "",
        f"{settings['epochs']} epochs, batches of 128, {settings['seeds']} seeds, as many tasks as "
        "workers on two cores (`benchmarks/bench_accuracy.py --workers N [--hard] --ways ...`). "
        "The hard faces are blurred and noisy.",
        "",
    ]
    return "\n".join(lines)


def exchange_table() -> str:
    """Return the time of an exchange by size of the model and number of workers."""
    result = read_result("exchange")
    lines = [
        "| million weights | workers | all-reduce of gloo | synchronous step, memory | "
        "synchronous step, connection | push, memory: CPU of the driver | "
        "push, connection: CPU of the driver |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in sorted(result["table"], key=lambda row: (row["millions"], row["workers"])):
        memory, connection = row["synchronous"], row["synchronous/connection"]
        seconds = [
            *(row["gloo"]["seconds"], memory["seconds"], connection["seconds"]),
            *(memory["driver_cpu_s"], connection["driver_cpu_s"]),
        ]
        cells = " | ".join(f"{1000 * value:,.1f} ms" for value in seconds)
        lines.append(f"| {row['millions']:g} | {row['workers']} | {cells} |")
    machine = result["machine"]
    lines += [
        "",
        f"Each worker is a process that computes nothing; workers and driver on "
        f"{machine['cores']} cores ({machine['processor']}), gloo without a server, encryption or "
        f"a step of an optimizer (`benchmarks/bench_exchange.py`, commit {result['commit']}).",
        "",
    ]
    return "\n".join(lines)


def plot_training(path: Path) -> None:
    """Draw the speed as bars and the accuracy by epoch as lines."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot as plt

    # Makes the file reproducible.
    mpl.rcParams.update({"svg.hashsalt": "glasses-spark", "font.size": 9, "svg.fonttype": "none"})
    speed, accuracy = read_result("training"), read_result("accuracy")
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2), width_ratios=(1, 1.3))
    bars = {n: r["samples_per_second"] for n, r in speed["table"].items() if r["ratio_to_keras"]}
    colours = [KERAS if name == "keras" else COLOURS[0] for name in bars]
    left.barh([_title(name) for name in bars], list(bars.values()), color=colours)
    left.axvline(bars["keras"], color=KERAS, linewidth=0.8)
    left.invert_yaxis()
    left.set_xlabel(f"samples per second, {speed['machine']['cores']} cores")
    for number, (name, rounds) in enumerate(accuracy["rounds"].items()):
        curves = [fit["curve"] for fit in rounds]
        medians = [statistics.median(values) for values in zip(*curves, strict=True)]
        style = {"color": KERAS, "linewidth": 2.5} if name == "keras" else {}
        right.plot(
            range(1, len(medians) + 1),
            medians,
            **({"color": COLOURS[(number - 1) % len(COLOURS)]} | style),
            label=_title(name),
        )
    right.set_xlabel("epoch")
    right.set_ylabel("test accuracy, median of seeds")
    right.set_ylim(0.5, 1.005)
    right.legend(fontsize=7.5, loc="lower right")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None}, facecolor="white")
    print(path)


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
