"""The command ``glasses-spark predict``."""

from __future__ import annotations

import csv
from argparse import Namespace

from glasses_spark.cli.options import Commands, add_command
from glasses_spark.cli.output import check_output, open_output
from glasses_spark.cli.saved_run import model_location, session_for_run
from glasses_spark.pipeline.unlabelled import decode_unlabelled
from glasses_spark.printable import csv_cell


def add_parser(commands: Commands) -> None:
    """Add the command and its options."""
    command = add_command(
        commands,
        "predict",
        "write the path, probability of glasses and predicted label of each image as CSV",
        [
            "--model runs/demo me.png you.png",
            "--model runs/demo photos --out photos.csv",
            "--model runs/demo photos --set evaluation.threshold=0.9",
        ],
    )
    command.add_argument(
        "--model",
        metavar="RUN",
        required=True,
        help="run folder that train wrote, or its URI",
    )
    command.add_argument("--out", metavar="FILE", help="CSV file (default: standard output)")
    command.add_argument("images", metavar="IMAGE", nargs="+", help="PNG file, folder, glob or URI")
    command.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Write the probability of glasses for images without labels."""
    location = arguments.model
    check_output(arguments.out)  # before the work
    with session_for_run(location, arguments) as (spark, config):
        from pyspark.sql import functions as F

        from glasses_spark.columns import PATH, PREDICTED_LABEL, PREDICTION
        from glasses_spark.evaluation.metrics import add_predicted_label
        from glasses_spark.scoring.transformer import GlassesModel

        model = GlassesModel.load(model_location(location))
        scored = add_predicted_label(
            model.transform(decode_unlabelled(spark, arguments.images, config)),
            threshold=config.evaluation.threshold,
        )
        rows = scored.select(PATH, F.get(PREDICTION, 0).alias(PREDICTION), PREDICTED_LABEL).orderBy(
            PATH
        )
        with open_output(arguments.out) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow([PATH, "probability", PREDICTED_LABEL])
            for path, probability, label in rows.toLocalIterator():
                writer.writerow([csv_cell(_readable(path)), f"{probability:.6f}", int(label)])


def _readable(path: str) -> str:
    """Return a local path without its scheme, and any other URI unchanged."""
    return path.removeprefix("file:") if path.startswith("file:/") else path
