"""Commands: what each command of the command line does."""

from __future__ import annotations

import csv
import dataclasses
import gc
import json
import logging
import sys
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlsplit

from glasses_spark import run_folder, run_place
from glasses_spark.config import Config
from glasses_spark.errors import ConfigError, SetupError
from glasses_spark.interruption import interruptible
from glasses_spark.loading.location import local_folder
from glasses_spark.progress import BarProgress, Progress

# Whatever imports pyspark or TensorFlow is imported within the functions, so that
# a wrong call is refused at once, and pyspark only once the session is there:
# an external Spark, named by SPARK_HOME, brings its own.
if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

logger = logging.getLogger(__name__)


def fetch(arguments: Namespace) -> None:
    """Download the images and the labels that the configuration names."""
    data = _config(arguments).data
    if not data.dataset and not data.labels_url:
        raise ConfigError(
            "nothing to fetch: expected data.dataset or data.labels_url, got neither; "
            "configs/kaggle.toml has both"
        )
    where = "files are fetched to this machine only"
    folder = Path(_local(data.images, "data.images", where, "--set data.images=FOLDER"))
    folder = folder.expanduser()
    labels = Path(_local(data.labels, "data.labels", where, "--set data.labels=FILE"))
    labels = labels.expanduser()
    # Imported late: they bring pyspark and requests.
    from glasses_spark.loading.fetch import fetch_dataset, fetch_labels

    if data.labels_url:
        fresh = fetch_labels(
            data.labels_url, labels, sha256=data.labels_sha256, counter=_progress().counter
        )
        print(f"{labels}: {'fetched now' if fresh else 'there already'}")
    if data.dataset:
        archive = folder.absolute().with_name(f"{data.dataset.split('/')[1]}.zip")
        fetched = fetch_dataset(
            data.dataset,
            folder,
            archive=archive,
            keep=archive if arguments.keep_zip else None,
            counter=_progress().counter,
        )
        news = f"{fetched.fresh:,} fetched now" if fetched.fresh else "all there already"
        print(f"{folder}: {fetched.files:,} files, {fetched.size / 1e9:.2f} GB; {news}")


def draw_faces(arguments: Namespace) -> None:
    """Draw a face for each row of a labels file."""
    from glasses_spark.loading import synthetic

    config = _config(arguments)
    where = "faces are drawn on this machine only"
    labels = Path(arguments.labels or _local(config.data.labels, "data.labels", where, "--labels"))
    out = Path(arguments.out or _local(config.data.images, "data.images", where, "--out"))
    seed = config.run.seed if arguments.seed is None else arguments.seed
    total = arguments.limit or _count_rows(labels)
    with _progress().counter(f"Drawing {total:,} faces", total) as show:
        drawn = synthetic.draw_faces(
            labels, out, size=arguments.size, seed=seed, limit=arguments.limit, on_drawn=show
        )
    print(
        f"{drawn.folder}: {drawn.with_glasses} faces with glasses, {drawn.without_glasses} "
        f"without, {drawn.undefined} undefined; {drawn.drawn} drawn now"
    )


def prepare(arguments: Namespace) -> None:
    """Bring the pixel store up to date."""
    config = _config(arguments)
    if not config.store.dir:
        raise ConfigError("store.dir: expected a folder for the pixel store, got an empty text")
    with _spark(config, arguments, meanwhile=_import_preprocessing) as spark:
        from glasses_spark.pipeline import GlassesPipeline

        done = GlassesPipeline(config, progress=_progress()).prepare(spark)
        bad = done.data["quarantined"]
        print(
            f"{config.store.dir}: {done.data['used'] + bad} images, {done.decoded} decoded now, "
            f"{done.reused} before" + (f"; {bad} cannot be decoded" if bad else "")
        )


def train(arguments: Namespace) -> None:
    """Do a whole run."""
    config = _config(arguments)
    folder = local_folder(config.run.dir)
    if folder is not None:
        run_folder.check_run_folder(folder)  # before Spark is started
    if config.tracking.mlflow:
        from glasses_spark.tracking.mlflow_run import require_mlflow

        require_mlflow()
    with _spark(config, arguments, meanwhile=_import_all, keep_classes=True) as spark:
        from glasses_spark.pipeline import GlassesPipeline

        result = GlassesPipeline(config, progress=_progress()).run(spark)
        print(f"\n{result}")


def cross_validate(arguments: Namespace) -> None:
    """Fit once for each fold, and judge every image by a model that has not seen it."""
    if arguments.folds is not None:
        arguments.set.append(f"evaluation.folds={arguments.folds}")
    config = _config(arguments)
    out = Path(arguments.out or run_folder.cross_validation_folder(config.run.dir))
    run_folder.check_run_folder(out, results=run_folder.CROSS_VALIDATION)
    with _spark(config, arguments, meanwhile=_import_all) as spark:
        from glasses_spark.pipeline import GlassesPipeline

        result = GlassesPipeline(config, progress=_progress()).cross_validate(spark, out)
        print(f"\n{result}")


def evaluate(arguments: Namespace) -> None:
    """Judge the model of a run on labelled images."""
    location = arguments.model or _config(arguments).run.dir
    with _spark_for(location, arguments) as (spark, config):
        _require_trusted_data(location, config, arguments)
        from glasses_spark.columns import SPLIT
        from glasses_spark.evaluation.metrics import metrics_table
        from glasses_spark.pipeline import GlassesPipeline
        from glasses_spark.scoring.transformer import GlassesModel

        pipeline = GlassesPipeline(config, progress=_progress())
        model = GlassesModel.load(_model_of(location))
        predictions = pipeline.predict(model, pipeline.preprocess(pipeline.load(spark)).good)
        if arguments.part != "all":
            predictions = predictions.where(predictions[SPLIT] == arguments.part)
        metrics = pipeline.evaluate(predictions)
        if arguments.json:
            print(json.dumps(metrics.as_dict(), indent=2))
        else:
            print(metrics_table({arguments.part: metrics}))


def predict(arguments: Namespace) -> None:
    """Write the probability of glasses for images without labels."""
    location = arguments.model
    with _spark_for(location, arguments) as (spark, config):
        from pyspark.sql import functions as F

        from glasses_spark.columns import PATH, PREDICTED_LABEL, PREDICTION
        from glasses_spark.evaluation.metrics import add_predicted_label
        from glasses_spark.scoring.transformer import GlassesModel

        model = GlassesModel.load(_model_of(location))
        scored = add_predicted_label(
            model.transform(_unlabelled(spark, arguments.images, config)),
            threshold=config.evaluation.threshold,
        )
        rows = scored.select(PATH, F.get(PREDICTION, 0).alias(PREDICTION), PREDICTED_LABEL).orderBy(
            PATH
        )
        with _output(arguments.out) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["path", "probability", "predicted_label"])
            for path, probability, label in rows.toLocalIterator():
                writer.writerow([_readable(path), f"{probability:.6f}", int(label)])


def compare(arguments: Namespace) -> None:
    """Show runs side by side; this needs neither Spark nor TensorFlow."""
    from glasses_spark.evaluation.compare import compare
    from glasses_spark.saved_run import read_runs

    comparison = compare(read_runs([Path(run) for run in arguments.runs]))
    if arguments.html:
        from glasses_spark.evaluation.compare_page import render_page

        page = render_page(comparison)
        with _output(arguments.html, option="--html") as file:
            file.write(page)
    if arguments.json:
        print(json.dumps(comparison.as_dict(), indent=2))
        return
    from rich.console import Console

    from glasses_spark.evaluation.compare_text import print_comparison

    print_comparison(comparison, Console())


def doctor(arguments: Namespace) -> None:
    """Check the machine, and the run of a configuration where one is given."""
    from glasses_spark.doctor import checkup
    from glasses_spark.doctor.check import as_dict, render

    config = _config(arguments)
    given = arguments.config or arguments.set
    checks = checkup.check_run(config) if given else checkup.check_machine()
    if arguments.spark:
        checks += checkup.check_started(config)
    print(json.dumps(as_dict(checks), indent=2) if arguments.json else render(checks))
    if not all(check.ok for check in checks):
        raise SetupError("this machine is not ready for a run: see the failed checks above")


def advise(arguments: Namespace) -> None:
    """Measure this machine on the data, and say what a run will take and how to train."""
    from glasses_spark.advise.advisor import advise_run

    config = _config(arguments)
    with _progress().stage("Measuring this machine, some 25 s"):
        report = advise_run(config)
    print(json.dumps(report.as_dict(), indent=2) if arguments.json else report)


def _config(arguments: Namespace) -> Config:
    return Config.load(arguments.config, _overrides(arguments))


def _overrides(arguments: Namespace) -> list[str]:
    # Only some commands have the option.
    no_store = ["store.dir="] if getattr(arguments, "no_store", False) else []
    plots = ["run.plots=true"] if getattr(arguments, "plots", False) else []
    return [*arguments.set, *no_store, *plots]


@contextmanager
def _spark_for(location: str, arguments: Namespace) -> Iterator[tuple[SparkSession, Config]]:
    """Start Spark for work with the model of a run, and give the configuration for it.

    Spark's own settings come from the caller alone: a run folder may come from a stranger,
    and a setting of Spark can run any command.
    """
    folder = local_folder(location)
    if folder is not None:
        run_folder.require_run_folder(folder)
        config = _config_for(location, folder / run_folder.CONFIG, arguments)
        with _spark(config, arguments, meanwhile=_import_all) as spark:
            yield spark, config
        return
    # Only a running Spark can read a run folder at a URI.
    with _spark(_config(arguments), arguments, meanwhile=_import_all) as spark:
        with run_place.configuration_of(spark, location) as saved:
            config = _config_for(location, saved, arguments)
        yield spark, config


def _model_of(location: str) -> str:
    """Return where the model of a run lies, for Spark."""
    folder = local_folder(location)
    # Not encoded, as Hadoop takes a URI for a plain text.
    place = location.rstrip("/") if folder is None else f"file:{folder.absolute()}"
    return f"{place}/{run_folder.MODEL}"


def _config_for(location: str, saved: Path, arguments: Namespace) -> Config:
    """Return the configuration for work with the model of a run.

    What the model was made with stays: the size of its input, and the split with its seed,
    which tell which images it has seen.
    """
    made_with = Config.from_saved_run(saved)
    if arguments.config:
        config = _config(arguments)
    else:
        config = made_with.override(_overrides(arguments))
    seed = dataclasses.replace(config.run, seed=made_with.run.seed)
    return dataclasses.replace(config, image=made_with.image, split=made_with.split, run=seed)


def _require_trusted_data(location: str, config: Config, arguments: Namespace) -> None:
    """Refuse to contact a host that only the run folder names."""
    if arguments.config:
        return
    given = {override.partition("=")[0].strip() for override in arguments.set}
    here = urlsplit(location)
    for key, value in (("data.images", config.data.images), ("data.labels", config.data.labels)):
        there = urlsplit(value)
        same_place = (there.scheme, there.netloc) == (here.scheme, here.netloc)
        if key in given or local_folder(value) is not None or same_place:
            continue
        raise ConfigError(
            f"{key}: the run folder {location} names {value}, and a run folder may come from a "
            f"stranger; to read data from there, name it yourself with --set {key}={value} or "
            "with --config"
        )


@contextmanager
def _spark(
    config: Config,
    arguments: Namespace,
    *,
    meanwhile: Callable[[], None],
    keep_classes: bool = False,
) -> Iterator[SparkSession]:
    from glasses_spark.session import spark_session

    level = "INFO" if arguments.debug else "WARN" if arguments.verbose else "ERROR"
    with (
        spark_session(
            master=config.spark.master or None,
            conf=config.spark.conf,
            ui=config.spark.ui,
            log_level=level,
            keep_classes=keep_classes,
            meanwhile=meanwhile,
        ) as spark,
        interruptible(spark),
    ):
        yield spark


def _import_preprocessing() -> None:
    import glasses_spark.pipeline  # noqa: F401


def _import_all() -> None:
    from glasses_spark.backend import collector_paused, import_bare_keras

    with collector_paused():
        import_bare_keras()
        import glasses_spark.pipeline
        import glasses_spark.training.estimator  # noqa: F401
    # They stay as long as the process: no use to look for garbage in them again and again.
    gc.freeze()


def _progress() -> Progress:
    return BarProgress() if sys.stderr.isatty() else Progress()


def _local(location: str, key: str, why: str, option: str) -> str:
    """Return the path of a local place."""
    parts = urlsplit(location)
    if parts.scheme == "file":
        return parts.path
    if parts.scheme:
        raise ConfigError(f"{key} is {location}: {why}; name a local path with {option}")
    return location


def _count_rows(labels: Path) -> int:
    """Count the rows for the progress bar; draw_faces says what is wrong with the file."""
    try:
        with labels.open("rb") as file:
            return max(0, sum(1 for line in file if line.strip()) - 1)
    except OSError:
        return 0


def _unlabelled(spark: SparkSession, locations: list[str], config: Config) -> DataFrame:
    """Decode images, whatever their names, to ``path``, ``id``, ``label`` and ``pixels``."""
    from functools import reduce

    from pyspark.sql import DataFrame
    from pyspark.sql import functions as F

    from glasses_spark.columns import CONTENT, ID, LABEL, PATH
    from glasses_spark.loading.images import open_images
    from glasses_spark.loading.location import is_on_disk, spark_path
    from glasses_spark.preprocessing.preprocess import set_aside, to_pixels

    files = [one for one in locations if Path(one).is_file()]
    frames = [
        open_images(spark, one, glob=config.data.glob) for one in locations if one not in files
    ]
    if files:
        frames.append(spark.read.format("binaryFile").load([spark_path(one) for one in files]))
    opened = all(is_on_disk(spark, one) for one in locations)
    unlabelled = reduce(DataFrame.unionByName, frames).select(
        PATH,
        F.lit(None).cast("int").alias(ID),
        F.lit(None).cast("double").alias(LABEL),
        *([] if opened else [CONTENT]),
    )
    image = config.image
    pixels = to_pixels(unlabelled, height=image.height, width=image.width).persist()
    # Others may well be readable; what is not is named in the log.
    return set_aside(pixels, max_bad_fraction=1.0).good


@contextmanager
def _output(path: str | None, *, option: str = "--out") -> Iterator[TextIO]:
    if path is None:
        yield sys.stdout
        return
    try:
        file = Path(path).open("w", newline="", encoding="utf-8")  # noqa: SIM115
    except OSError as error:
        raise ConfigError(f"{option}: cannot write {path}: {error.strerror}") from error
    with file:
        yield file


def _readable(path: str) -> str:
    """Return a local path as people write it, any other place as Spark does."""
    return path.removeprefix("file:") if path.startswith("file:/") else path
