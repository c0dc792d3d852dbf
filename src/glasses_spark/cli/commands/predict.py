"""The command ``glasses-spark predict``."""

from __future__ import annotations

import logging
import os
from argparse import Namespace
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final

from glasses_spark.cli.options import Commands, add_command
from glasses_spark.cli.output import check_output, open_output
from glasses_spark.cli.prediction_formats import CSV, FORMATS, JSON, TABLE
from glasses_spark.cli.saved_run import (
    ONNX_SUFFIX,
    model_location,
    scorer_settings,
    session_for_run,
)
from glasses_spark.config.data import DataConfig
from glasses_spark.errors import ConfigError, ImagesError
from glasses_spark.pipeline.unlabelled import decode_unlabelled
from glasses_spark.printable import printable
from glasses_spark.reasons import reason_of
from glasses_spark.runs.folder import KERAS_MODEL, ONNX_MODEL
from glasses_spark.runtime.location import is_remote, local_folder

# Imported where it is used, so that a wrong call fails at once.
if TYPE_CHECKING:
    from glasses_spark.scorer.scorer import Score

logger = logging.getLogger(__name__)

_PACKAGES: Final = ("onnx", "PIL")
_RUNTIMES: Final = ("openvino", "onnxruntime")


def add_parser(commands: Commands) -> None:
    """Add the command and its options."""
    command = add_command(
        commands,
        "predict",
        "score images: the probability of glasses and the predicted label of each one",
        [
            "--model runs/demo me.png you.jpg",
            "--model runs/demo photos --out photos.csv",
            "--model runs/demo photos --json --set evaluation.threshold=0.9",
            "--model model.onnx - < me.png",
            "--model runs/demo holiday.jpg --align",
            "--model runs/demo hdfs:///photos --out photos.csv",
        ],
    )
    command.add_argument(
        "--model",
        metavar="RUN",
        required=True,
        help=f"run folder that train wrote, its URI, or a {ONNX_SUFFIX} file that export wrote",
    )
    command.add_argument(
        "--out",
        metavar="FILE",
        help="output file, CSV unless --json is given (default: standard output, as a table)",
    )
    forms = command.add_mutually_exclusive_group()
    forms.add_argument(
        "--json", dest="form", action="store_const", const=JSON, help="a JSON object per line"
    )
    forms.add_argument("--csv", dest="form", action="store_const", const=CSV, help="CSV")
    command.add_argument(
        "--align",
        action="store_true",
        help="find the face in each photograph and score it with the margins of the training "
        'pictures; needs the extra "align"',
    )
    command.add_argument(
        "--spark",
        action="store_true",
        help="score on Spark, for folders that need a cluster; the default for URIs; PNG only",
    )
    command.add_argument(
        "images",
        metavar="IMAGE",
        nargs="+",
        help="PNG or JPEG file, folder, glob, URI, or - for standard input",
    )
    command.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Write the probability of glasses for images without labels."""
    _require_other_output(arguments)
    check_output(arguments.out)  # before the work
    form = arguments.form or (CSV if arguments.out else TABLE)
    needs_spark = _needs_spark(arguments)
    if needs_spark is None:
        scores = _scores(arguments)
    else:
        if arguments.align:
            raise ConfigError(
                f"--align works without Spark, but {needs_spark or 'Spark was asked for'}. Leave "
                "--align out, or score files of this machine with a model in ONNX"
            )
        if needs_spark:
            logger.info("%s: Spark scores the images", needs_spark)
        scores = _spark_scores(arguments)
    with closing(scores), open_output(arguments.out) as file:
        FORMATS[form](scores, file)


def _require_other_output(arguments: Namespace) -> None:
    """Refuse to write over an input or over the model."""
    out = arguments.out
    if out is None or not os.path.isfile(out):
        return
    folder = local_folder(arguments.model)
    _require_not_read(out, (*arguments.images, arguments.model))
    if folder is not None and folder.resolve() in Path(out).resolve().parents:
        raise ConfigError(f"--out: {out} is in the run folder. Name a file in another folder")


def _require_not_read(out: str | None, paths: Iterable[str]) -> None:
    if out is None or not os.path.isfile(out):
        return
    for path in paths:
        if os.path.exists(path) and os.path.samefile(out, path):
            raise ConfigError(f"--out: {out} is also read as {path}. Name another file")


def _needs_spark(arguments: Namespace) -> str | None:
    """Return why Spark has to score, empty if the user says so; None if it need not."""
    model = arguments.model
    if "-" in arguments.images and arguments.spark:
        raise ConfigError("--spark cannot read standard input (-). Leave --spark out")
    if arguments.spark or any(item.startswith("spark.") for item in arguments.set):
        return ""
    remote = [location for location in (model, *arguments.images) if is_remote(location)]
    if remote:
        return f"{remote[0]} is not on this machine"
    if model.endswith(ONNX_SUFFIX):
        return None
    folder = local_folder(model)
    if folder is not None and folder.is_dir() and not (folder / ONNX_MODEL).is_file():
        if not (folder / KERAS_MODEL).is_file():  # of a run that was not completed
            return f"{folder} has no {ONNX_MODEL}"
        return (
            f"{folder} has no {ONNX_MODEL}, with which images are scored in a second; "
            f"`glasses-spark export --model {folder}` writes it"
        )
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing or not any(find_spec(name) for name in _RUNTIMES):
        return 'scoring without Spark needs pip install "glasses-spark[scoring]"'
    return None


def _scores(arguments: Namespace) -> Generator[Score]:
    """Score images in this process."""
    from glasses_spark.scorer.photos import PHOTOS, list_photos
    from glasses_spark.scorer.scorer import Scorer

    config, threshold = scorer_settings(arguments)
    # The default names PNG files only, which is what training takes.
    glob = PHOTOS if config.data.glob == DataConfig().glob else config.data.glob
    names = list_photos(arguments.images, glob=glob)
    _require_not_read(arguments.out, names)
    folder = local_folder(arguments.model)
    scorer = Scorer.load(folder or arguments.model, threshold=threshold, align=arguments.align)
    yield from _accounted(scorer.score_files(names))


def _accounted(scores: Iterable[Score]) -> Generator[Score]:
    """Yield the scores, then log an account of the images; name those that are quarantined."""
    reasons: Counter[str] = Counter()
    total, unlike, example = 0, 0, ""
    for score in scores:
        total += 1
        if score.error is not None:
            reasons[reason_of(score.error)] += 1
            example = f"{printable(score.name)} ({printable(score.error)})"
            logger.warning("%s: not scored (%s)", printable(score.name), printable(score.error))
        elif score.warning is not None:
            unlike += 1
            logger.warning("%s: %s", printable(score.name), printable(score.warning))
        yield score
    quarantined = reasons.total()
    if total == quarantined:
        raise ImagesError(f"none of the {total} images can be used, such as {example}")
    counted = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    logger.info(
        "Account of %d files: %d predicted, %d quarantined%s",
        total,
        total - quarantined,
        quarantined,
        f" ({counted})" if counted else "",
    )
    if unlike:
        logger.info("%d of the predictions are of images unlike the training pictures", unlike)


def _spark_scores(arguments: Namespace) -> Generator[Score]:
    """Score images on Spark; those that cannot be decoded are named in the log only."""
    location = arguments.model
    with session_for_run(location, arguments) as (spark, config):
        from pyspark.sql import functions as F

        from glasses_spark.columns import PATH, PREDICTED_LABEL, PREDICTION
        from glasses_spark.evaluation.metrics import add_predicted_label
        from glasses_spark.pipeline.score import with_runtime
        from glasses_spark.scorer.scorer import Score
        from glasses_spark.scoring.transformer import GlassesModel

        model = with_runtime(GlassesModel.load(model_location(location)), config)
        scored = add_predicted_label(
            model.transform(decode_unlabelled(spark, arguments.images, config)),
            threshold=config.evaluation.threshold,
        )
        rows = scored.select(PATH, F.get(PREDICTION, 0).alias(PREDICTION), PREDICTED_LABEL).orderBy(
            PATH
        )
        for path, probability, label in rows.toLocalIterator():
            yield Score(_readable(path), probability, int(label))


def _readable(path: str) -> str:
    """Return a local path without its scheme, and any other URI unchanged."""
    return path.removeprefix("file:") if path.startswith("file:/") else path
