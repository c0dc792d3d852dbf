"""The command ``glasses-spark evaluate``."""

from __future__ import annotations

import json
from argparse import Namespace
from urllib.parse import urlsplit

from glasses_spark.cli.configuration import load_config
from glasses_spark.cli.options import Commands, add_command, add_no_store
from glasses_spark.cli.output import make_progress
from glasses_spark.cli.saved_run import model_location, session_for_run
from glasses_spark.columns import PARTS, SPLIT
from glasses_spark.config.config import Config
from glasses_spark.errors import ConfigError
from glasses_spark.runtime.location import local_folder


def add_parser(commands: Commands) -> None:
    """Add the command and its options."""
    command = add_command(
        commands,
        "evaluate",
        "evaluate the model of a run on labelled images",
        [
            "--model runs/demo --part test",
            "--model runs/demo --set data.images=DIR --set data.labels=FILE --json",
        ],
    )
    command.add_argument(
        "--model", metavar="RUN", help="run folder that train wrote, or its URI (default: run.dir)"
    )
    command.add_argument(
        "--part",
        choices=["all", *PARTS],
        default="all",
        help="all images, or one set of the run's split (default: %(default)s)",
    )
    command.add_argument("--json", action="store_true", help="print the metrics as JSON")
    add_no_store(command)
    command.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Evaluate the model of a run on labelled images."""
    location = arguments.model or load_config(arguments).run.dir
    with session_for_run(location, arguments) as (spark, config):
        _require_trusted_data(location, config, arguments)
        from glasses_spark.evaluation.metrics import metrics_table
        from glasses_spark.pipeline.pipeline import GlassesPipeline
        from glasses_spark.scoring.transformer import GlassesModel

        pipeline = GlassesPipeline(config, progress=make_progress())
        model = GlassesModel.load(model_location(location))
        predictions = pipeline.predict(model, pipeline.preprocess(pipeline.load(spark)).good)
        if arguments.part != "all":
            predictions = predictions.where(predictions[SPLIT] == arguments.part)
        metrics = pipeline.evaluate(predictions)
        if arguments.json:
            print(json.dumps(metrics.as_dict(), indent=2))
        else:
            print(metrics_table({arguments.part: metrics}))


def _require_trusted_data(location: str, config: Config, arguments: Namespace) -> None:
    """Reject data on a host that only the run folder names.

    Raises:
        ConfigError: The data is neither local, nor on the run folder's host, nor named by
            the caller.
    """
    if arguments.config:
        return
    overridden = {override.partition("=")[0].strip() for override in arguments.set}
    run = urlsplit(location)
    for key, value in (("data.images", config.data.images), ("data.labels", config.data.labels)):
        data = urlsplit(value)
        same_host = (data.scheme, data.netloc) == (run.scheme, run.netloc)
        if key in overridden or local_folder(value) is not None or same_host:
            continue
        raise ConfigError(
            f"{key}: the run folder {location} names {value}, a host that you did not name. If "
            f"you trust it, use --set {key}={value} or --config"
        )
