"""The command ``glasses-spark draw-faces``."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from glasses_spark.cli.configuration import load_config, require_local_path
from glasses_spark.cli.options import Commands, add_command, whole_number_argument
from glasses_spark.cli.output import make_progress
from glasses_spark.cli.streams import print_summary
from glasses_spark.config.fields import whole_number


def add_parser(commands: Commands) -> None:
    """Add the command and its options."""
    command = add_command(
        commands,
        "draw-faces",
        "draw a face for each row of a labels file, as a PNG file",
        [
            "--labels labels.csv --out faces",
            "--config configs/demo.toml --size 512",
            "--out few --limit 20",
        ],
    )
    command.add_argument(
        "--labels",
        metavar="FILE",
        help="labels file with the columns index,label (default: data.labels)",
    )
    command.add_argument(
        "--out", metavar="FOLDER", help="folder for the faces (default: data.images)"
    )
    command.add_argument(
        "--size",
        metavar="PIXELS",
        type=_size,
        default=256,
        help="height and width of a face, 64 to 1024 (default: %(default)s)",
    )
    command.add_argument(
        "--seed",
        metavar="N",
        type=whole_number_argument(whole_number(0)),
        help="seed of the faces (default: run.seed)",
    )
    command.add_argument(
        "--limit",
        metavar="N",
        type=whole_number_argument(whole_number(1)),
        help="draw only the first N rows (default: all)",
    )
    command.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Draw a face for each row of a labels file."""
    from glasses_spark.datasets.drawn import draw_faces as drawn_faces

    config = load_config(arguments)
    labels = Path(arguments.labels or _local(config.data.labels, "data.labels", "--labels"))
    out = Path(arguments.out or _local(config.data.images, "data.images", "--out"))
    seed = config.run.seed if arguments.seed is None else arguments.seed
    total = arguments.limit or _count_rows(labels)
    with make_progress().counter(f"Drawing {total:,} faces", total) as show:
        drawn = drawn_faces.draw_faces(
            labels, out, size=arguments.size, seed=seed, limit=arguments.limit, on_drawn=show
        )
    print_summary(
        f"{drawn.folder}: {drawn.with_glasses} faces with glasses, {drawn.without_glasses} "
        f"without, {drawn.undefined} with an undefined label; {drawn.drawn} drawn now"
    )


def _size(text: str) -> object:
    # Imported here because it imports OpenCV.
    from glasses_spark.datasets.drawn.face import LARGEST, SMALLEST

    return whole_number_argument(whole_number(SMALLEST, LARGEST))(text)


def _local(location: str, key: str, option: str) -> str:
    reason = "faces are drawn on this machine only"
    return require_local_path(location, key, reason=reason, option=option)


def _count_rows(labels: Path) -> int:
    """Count the rows for the progress bar; ``draw_faces`` reports errors of the file."""
    try:
        with labels.open("rb") as file:
            return max(0, sum(1 for line in file if line.strip()) - 1)
    except OSError:
        return 0
