"""The command ``glasses-spark watch``."""

from __future__ import annotations

from argparse import Namespace

from glasses_spark.cli.options import Commands, add_command, number_argument
from glasses_spark.cli.saved_run import model_location, session_for_run
from glasses_spark.config.fields import number


def add_parser(commands: Commands) -> None:
    """Add the command and its options."""
    command = add_command(
        commands,
        "watch",
        "score each image that arrives in a folder once, as a stream of Spark",
        [
            "photos --model runs/demo --output scores",
            "hdfs:///photos --model runs/demo --output hdfs:///scores --interval 60",
            "photos --model runs/demo --output scores --once",
        ],
    )
    command.add_argument(
        "--model", metavar="RUN", required=True, help="run folder that train wrote, or its URI"
    )
    command.add_argument(
        "--output",
        metavar="OUTPUT",
        required=True,
        help="folder or URI of the scores: Parquet, partitioned by batch",
    )
    command.add_argument(
        "--checkpoint",
        metavar="DIR",
        default="",
        help="folder or URI of the state, from which a killed process goes on (default: "
        "_checkpoint in OUTPUT)",
    )
    positive = number_argument(number(lambda x: x > 0, "a number above 0"))
    command.add_argument(
        "--interval",
        metavar="SECONDS",
        type=positive,
        default=5.0,
        help="time between looks at the folder (default: %(default)g)",
    )
    command.add_argument(
        "--settle",
        metavar="SECONDS",
        type=number_argument(number(lambda x: x >= 0, "a number >= 0")),
        default=2.0,
        help="a file is complete when it has not changed for this time (default: %(default)g)",
    )
    command.add_argument(
        "--once", action="store_true", help="end when all files that are there have been scored"
    )
    command.add_argument("images", metavar="FOLDER", help="folder, glob or URI of PNG files")
    command.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Score images as they arrive, until a signal ends it."""
    with session_for_run(arguments.model, arguments) as (spark, config):
        from glasses_spark.pipeline.watch.watch import Timing, watch_folder
        from glasses_spark.scoring.transformer import GlassesModel

        watch_folder(
            spark,
            arguments.images,
            GlassesModel.load(model_location(arguments.model)),
            arguments.output,
            config,
            checkpoint=arguments.checkpoint,
            timing=Timing(arguments.interval, arguments.settle, arguments.once),
        )
