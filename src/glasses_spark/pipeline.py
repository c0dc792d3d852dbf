"""Pipeline: from PNG files and labels to a fitted model, its predictions and metrics."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from glasses_spark import run_folder, run_place
from glasses_spark.cells import cell, folded, learning_charts, number, paragraph, table
from glasses_spark.columns import (
    ID,
    IS_VALIDATION,
    LABEL,
    PATH,
    PIXELS,
    PREDICTED_LABEL,
    PREDICTION,
    RAW_PREDICTION,
    SPLIT,
)
from glasses_spark.config import Config
from glasses_spark.cross_validation_folder import (
    CrossValidation,
    write_cross_validation,
    write_duplicates,
)
from glasses_spark.errors import ConfigError, DataError, ImagesError
from glasses_spark.evaluation.calibration import (
    Calibration,
    calibrate,
    scaled_predictions,
    scaled_scores,
)
from glasses_spark.evaluation.cross_validation import assign_folds, cross_validate
from glasses_spark.evaluation.cross_validation_page import fetch_pictures
from glasses_spark.evaluation.curves import Curves
from glasses_spark.evaluation.digest import data_digest
from glasses_spark.evaluation.gallery import Gallery, choose_faces, with_evidence
from glasses_spark.evaluation.judgement import Judgement, judge
from glasses_spark.evaluation.label_doubt import doubt_labels
from glasses_spark.evaluation.metrics import (
    Metrics,
    add_predicted_label,
    evaluate,
    metrics_html,
    metrics_table,
)
from glasses_spark.evaluation.plots import write_plots
from glasses_spark.evaluation.report import render_report, report_plots
from glasses_spark.evaluation.saliency import Score
from glasses_spark.evaluation.scores import Scores, collect_scores
from glasses_spark.evaluation.threshold import Costs, Thresholds
from glasses_spark.loading.dataset import Account, Dataset, load_dataset
from glasses_spark.loading.location import local_folder
from glasses_spark.preprocessing.duplicates import (
    NearDuplicates,
    find_near_duplicates,
    with_clusters,
)
from glasses_spark.preprocessing.preprocess import (
    Counts,
    QuarantinedImage,
    SetAside,
    count_images,
    set_aside,
    to_pixels,
)
from glasses_spark.preprocessing.split import (
    TEST,
    TRAIN,
    VALIDATION,
    split_by_id,
    split_column,
    split_key,
)
from glasses_spark.preprocessing.store import PixelStore, Stored, usable_root
from glasses_spark.progress import Progress
from glasses_spark.tracking.mlflow_run import log_run, require_mlflow

if TYPE_CHECKING:
    from glasses_spark.scoring.transformer import GlassesModel

logger = logging.getLogger(__name__)

_PACKAGES: Final = ("glasses-spark", "pyspark", "elephas", "tensorflow", "keras", "numpy")


@dataclass(frozen=True, repr=False)
class Result:
    """What a run has brought.

    Attributes:
        train: Metrics over the images that were trained on.
        test: Metrics over the images that were held back.
        validation: Metrics over those that the training was watched with, on which
            thresholds and temperature were chosen; None without ``split.validation``.
        curves: What there is to draw, by part.
        thresholds: Other thresholds and what they give; None without validation images.
        calibration: The temperature, and what it changed; None without ``evaluation.calibrate``.
        data: Where the images went, as in ``metrics.json``: ``images`` found;
            ``used``, for training, validation and test; the others left out.
        timings: Seconds by stage: ``preprocess_s``, ``fit_s``, ``score_s``, ``total_s``.
        history: One record an epoch, as in ``history.json``.
        model: The fitted Spark ML model, with its temperature.
        predictions: ``id``, ``path``, ``label``, ``split``, ``prediction`` and
            ``predicted_label`` of all images used; kept in Spark's memory or on its
            disks until ``predictions.unpersist()``.
        location: Where the run folder lies: a path or a URI, as ``run.dir`` has it.
        decoded: How many images were decoded in this run.
        reused: How many came from the pixel store.
    """

    train: Metrics
    test: Metrics
    validation: Metrics | None
    curves: Mapping[str, Curves]
    thresholds: Thresholds | None
    calibration: Calibration | None
    data: Mapping[str, int]
    timings: Mapping[str, float]
    history: list[dict[str, Any]]
    model: GlassesModel
    predictions: DataFrame
    location: str
    decoded: int
    reused: int

    @property
    def parts(self) -> dict[str, Metrics]:
        """Metrics by part, in the order train, validation, test."""
        validation = {} if self.validation is None else {VALIDATION: self.validation}
        return {TRAIN: self.train, **validation, TEST: self.test}

    @property
    def run_dir(self) -> Path:
        """The run folder on this machine.

        Raises:
            ConfigError: It lies elsewhere, at the URI ``location``.
        """
        folder = local_folder(self.location)
        if folder is None:
            raise ConfigError(
                f"the run folder is not on this machine, it lies at {self.location}: use location"
            )
        return folder

    def __repr__(self) -> str:
        return (
            f"{metrics_table(self.parts)}\n"
            f"{self.data['used']} of {self.data['images']} images, "
            f"{len(self.history)} epochs, {self.timings['total_s']:.1f} s\n"
            f"Results: {self.location}"
        )

    def _repr_html_(self) -> str:
        # Imported here: matplotlib takes half a second.
        from glasses_spark.evaluation.notebook import curve_figures

        return cell(
            f"Test accuracy {number(self.test.accuracy)} on {self.test.rows:,} images",
            paragraph(
                f"{self.data['used']:,} of {self.data['images']:,} images, "
                f"{len(self.history)} epochs, {self.timings['total_s']:.1f} s. "
                f"Results: {self.location}"
            ),
            metrics_html(self.parts),
            learning_charts(self.history),
            curve_figures(self.curves, self.parts),
            folded("Images", table(["", "images"], _texts(self.data))),
            folded("Seconds", table(["", "seconds"], _texts(self.timings))),
        )


@dataclass(frozen=True)
class Prepared:
    """What ``GlassesPipeline.prepare`` has brought.

    Attributes:
        data: Where the images went, as in ``metrics.json``.
        decoded: How many images were decoded now.
        reused: How many were in the pixel store.
    """

    data: Mapping[str, int]
    decoded: int
    reused: int


@dataclass(frozen=True)
class _Pixels:
    """Images decoded, good ones and others; the frame is to be unpersisted in the end."""

    frame: DataFrame
    set_aside: SetAside
    counts: Counts
    decoded: int
    reused: int
    duplicates: NearDuplicates | None = None

    def unpersist(self) -> None:
        self.frame.unpersist()
        if self.duplicates is not None:
            self.duplicates.unpersist()


class GlassesPipeline:
    """Chains the stages of a run over a SparkSession.

    ``run`` does it all. The stages may also be called one by one:

        pipeline = GlassesPipeline(Config.load("configs/demo.toml"))
        dataset = pipeline.load(spark)
        pixels = pipeline.preprocess(dataset).good
        train, test = pipeline.split(pixels)
        model = pipeline.fit(train)
        metrics = pipeline.evaluate(pipeline.predict(model, test))
    """

    def __init__(self, config: Config | None = None, *, progress: Progress | None = None) -> None:
        """Prepare a run; nothing is read yet.

        Args:
            config: Every setting; by default the published experiment.
            progress: Told what goes on; by default it goes to the log.
        """
        self.config = config or Config()
        self._progress = progress or Progress()
        self._model_shown = False

    def run(self, spark: SparkSession) -> Result:
        """Do the whole run and write its run folder.

        Args:
            spark: Session that does the work; it is left running.

        Returns:
            The result; the same is in ``run.dir``.

        Raises:
            GlassesSparkError: A stage failed; ``run.dir`` is as it was before.
        """
        target = self.config.run.dir
        run_place.check_run_place(spark, target)  # now rather than after the training
        if self.config.tracking.mlflow:
            require_mlflow()
        watch = _Stopwatch()
        with watch.timing("total_s"):
            with watch.timing("preprocess_s"):
                dataset, pixels = self._preprocessed(spark)
            try:
                good = pixels.set_aside.good
                train, _ = self.split(good)
                self._require_all_parts(pixels)
                with watch.timing("fit_s"):
                    model = self.fit(train)
                with watch.timing("score_s"), self._progress.stage("Scoring", spark):
                    predictions = self.predict(model, good).persist()
                    scores = self._scores(predictions)
                    calibration = None
                    if self.config.evaluation.calibrate:
                        calibration = calibrate(scores, on=VALIDATION)
                        temperature = _set_temperature(model, calibration)
                        predictions = self._scaled(predictions, temperature)
                        scores = {
                            part: scaled_scores(one, temperature) for part, one in scores.items()
                        }
                    judgement = self._judgement(scores)
                # Now, and not after the report: it is what people wait for.
                self._progress.judged(_headline(judgement.metrics[TEST]))
                with self._progress.stage("Choosing faces for the report", spark):
                    gallery = self._gallery(predictions, good)
                    data = data_digest(good)
            finally:
                pixels.frame.unpersist()
        result = Result(
            train=judgement.metrics[TRAIN],
            test=judgement.metrics[TEST],
            validation=judgement.metrics.get(VALIDATION),
            curves=judgement.curves,
            thresholds=judgement.thresholds,
            calibration=calibration,
            data=_account(dataset.account, pixels.set_aside.quarantine),
            decoded=pixels.decoded,
            reused=pixels.reused,
            timings=watch.seconds,
            history=model.history,
            model=model,
            predictions=predictions.select(ID, PATH, LABEL, SPLIT, PREDICTION, PREDICTED_LABEL),
            location=target,
        )
        with self._progress.stage(f"Writing {target}"):
            _write(
                spark,
                result,
                self.config,
                pixels,
                _environment(spark),
                data_digest=data,
                gallery=gallery,
            )
        self._record(result)
        pixels.unpersist()
        return result

    def cross_validate(self, spark: SparkSession, out: Path | None = None) -> CrossValidation:
        """Fit once for each fold on all others, and write what that tells to a folder.

        Args:
            spark: Session that does the work; it is left running.
            out: Folder for the results; by default ``run.dir`` with ``-cross-validation``
                at its end. That of an earlier cross-validation is replaced.

        Returns:
            The result; the same is in the folder.

        Raises:
            GlassesSparkError: A stage failed; the folder is as it was before.
        """
        target = out or run_folder.cross_validation_folder(self.config.run.dir)
        run_folder.check_run_folder(target, results=run_folder.CROSS_VALIDATION)
        watch = _Stopwatch()
        with watch.timing("total_s"):
            with watch.timing("preprocess_s"):
                dataset, pixels = self._preprocessed(spark)
            good, image = pixels.set_aside.good, self.config.image
            folds = assign_folds(
                good, folds=self.config.evaluation.folds, seed=self.config.run.seed
            ).persist()
            try:
                good = good.join(folds, ID)
                with watch.timing("folds_s"):
                    found = cross_validate(
                        good, fit=self.fit, predict=self.predict, evaluate=self.evaluate
                    )
                doubt = doubt_labels(found.predictions)
                pictures = fetch_pictures(
                    good, doubt.listed, height=image.height, width=image.width
                )
                out_of_fold = self.evaluate(found.predictions)
            finally:
                folds.unpersist()
                pixels.frame.unpersist()
        result = CrossValidation(
            folds=found,
            out_of_fold=out_of_fold,
            doubt=doubt,
            data=_account(dataset.account, pixels.set_aside.quarantine),
            timings=watch.seconds,
            run_dir=target,
        )
        try:
            with self._progress.stage(f"Writing {target}"):
                write_cross_validation(
                    result,
                    self.config.to_toml(),
                    pictures=pictures,
                    duplicates=pixels.duplicates,
                    environment=_environment(spark),
                )
        finally:
            found.unpersist()
            pixels.unpersist()
        return result

    def load(self, spark: SparkSession) -> Dataset:
        """List the images and join them with their labels; no image is read yet."""
        data = self.config.data
        with self._progress.stage("Listing images and labels", spark):
            return load_dataset(
                spark,
                data.images,
                data.labels,
                labels_sha256=data.labels_sha256,
                glob=data.glob,
                limit=data.limit or None,
                seed=self.config.run.seed,
            )

    def preprocess(self, dataset: Dataset) -> SetAside:
        """Decode the images, and set those aside that cannot be decoded.

        With a pixel store (``store.dir``) only images are decoded that it does not have,
        and the result is read from it. Without one the decoded images stay in Spark's
        memory or on its disks; ``spark.catalog.clearCache()`` lets them go.

        Unless ``split.near_duplicates`` is ``"ignore"``, the good ones have the column
        ``cluster``, by which they are split: see ``with_clusters``.

        Raises:
            ImagesError: More of them are bad than the configuration allows.
        """
        return self._clustered(dataset, self._pixels(dataset)).set_aside

    def prepare(self, spark: SparkSession) -> Prepared:
        """List the images and bring the pixel store up to date with them, and no more.

        Raises:
            ConfigError: There is no store: ``store.dir`` is empty, or a path of each
                machine's own disk.
        """
        if self._store(spark) is None:
            raise ConfigError(
                f"store.dir: expected a place for the pixel store that driver and executors reach, "
                f'got "{self.config.store.dir}"'
            )
        dataset = self.load(spark)
        pixels = self._pixels(dataset)
        pixels.frame.unpersist()
        return Prepared(
            _account(dataset.account, pixels.set_aside.quarantine), pixels.decoded, pixels.reused
        )

    def split(self, pixels: DataFrame) -> tuple[DataFrame, DataFrame]:
        """Return the rows to fit on, those for validation among them, and the rows to test on."""
        return split_by_id(pixels, test=self.config.split.test, seed=self.config.run.seed)

    def fit(self, train: DataFrame) -> GlassesModel:
        """Train the CNN on ``pixels`` and ``label``.

        Args:
            train: ``pixels`` and ``label``, and, with ``split.validation``, ``id``: rows
                whose id belongs to the validation are held back for it.

        Returns:
            The fitted model, whose ``transform`` adds ``prediction`` and ``rawPrediction``.
        """
        # Imported here: it brings TensorFlow, which the stages before do without.
        from glasses_spark.backend import import_keras
        from glasses_spark.training.estimator import build_estimator
        from glasses_spark.training.model import build_cnn

        training, image, split = self.config.training, self.config.image, self.config.split
        network = build_cnn(
            image.height,
            image.width,
            optimizer=training.optimizer,
            learning_rate=training.learning_rate or None,
            loss=training.loss,
            metrics=training.metrics,
            seed=self.config.run.seed,
        )
        if not self._model_shown:  # a cross-validation fits the same model again and again
            self._progress.model(_summary(network))
            self._model_shown = True
        if split.validation:
            train = train.withColumn(IS_VALIDATION, self._part(train) == VALIDATION)
        with self._progress.epochs(training.epochs) as show:
            estimator = build_estimator(
                network,
                training.epochs,
                training.batch_size,
                categorical=False,
                num_workers=training.num_workers,
                validationIndicatorCol=IS_VALIDATION if split.validation else None,
                featuresCol=PIXELS,
                labelCol=LABEL,
                metrics=list(training.metrics),
                frequency=training.frequency,
                mode=training.mode,
                seed=self.config.run.seed,
                rawPredictionCol=RAW_PREDICTION,
                stall_timeout=training.stall_timeout,
                parameter_server_port=training.port,
                precision=training.precision,
                staleness_aware=training.staleness_aware,
                class_weight=self._class_weights(train),
                callbacks=[
                    import_keras().callbacks.LambdaCallback(
                        on_epoch_end=lambda epoch, logs: show(epoch + 1, logs or {})
                    ),
                    *self._callbacks(),
                ],
            )
            model: GlassesModel = estimator.fit(train)
        return model

    def predict(self, model: GlassesModel, pixels: DataFrame) -> DataFrame:
        """Score images in one pass.

        Args:
            model: A fitted model.
            pixels: ``id``, ``path``, ``label`` and ``pixels``.

        Returns:
            ``id``, ``path``, ``label``, ``split`` (the part to which the id belongs),
            ``prediction``, ``rawPrediction`` (where the model gives it) and
            ``predicted_label``.
        """
        scored = model.transform(pixels.withColumn(SPLIT, self._part(pixels)))
        threshold = self.config.evaluation.threshold
        logit = [RAW_PREDICTION] if RAW_PREDICTION in scored.columns else []
        return add_predicted_label(scored, threshold=threshold).select(
            ID, PATH, LABEL, SPLIT, PREDICTION, *logit, PREDICTED_LABEL
        )

    def calibrate(self, model: GlassesModel, predictions: DataFrame) -> Calibration:
        """Fit a temperature on validation rows, and set it in the model.

        Args:
            model: The fitted model.
            predictions: What it has predicted, validation rows among them.

        Returns:
            The temperature, and what it changes; the model's later predictions have it.

        Raises:
            ScoringError: There is no validation row.
        """
        calibration = calibrate(self._scores(predictions), on=VALIDATION)
        _set_temperature(model, calibration)
        return calibration

    def evaluate(self, predictions: DataFrame) -> Metrics:
        """Judge predictions against labels at the configured threshold."""
        return evaluate(predictions, threshold=self.config.evaluation.threshold)

    def _part(self, pixels: DataFrame | None = None) -> Column:
        """The part to which a row belongs, by its id or its cluster, if the frame has those."""
        split = self.config.split
        return split_column(
            test=split.test,
            validation=split.validation,
            seed=self.config.run.seed,
            key=ID if pixels is None else split_key(pixels),
        )

    def _scores(self, predictions: DataFrame) -> dict[str, Scores]:
        threshold = self.config.evaluation.threshold
        return collect_scores(predictions, part=SPLIT, threshold=threshold)

    def _scaled(self, predictions: DataFrame, temperature: float) -> DataFrame:
        """What the model would have given with its temperature, without asking it again."""
        if temperature == 1.0:
            return predictions
        scaled = scaled_predictions(predictions, temperature)
        return add_predicted_label(scaled, threshold=self.config.evaluation.threshold)

    def _judgement(self, scores: Mapping[str, Scores]) -> Judgement:
        evaluation = self.config.evaluation
        costs = Costs(evaluation.cost_false_positive, evaluation.cost_false_negative)
        return judge(scores, threshold=evaluation.threshold, costs=costs)

    def _record(self, result: Result) -> None:
        """Tell other tools of the run; what fails there is said, and loses nothing."""
        tracking, folder = self.config.tracking, local_folder(result.location)
        if folder is None:
            if tracking.mlflow or tracking.tensorboard:
                logger.warning(
                    "tracking: expected a run.dir on this machine, got %s; the run is complete, "
                    "but neither MLflow nor TensorBoard is told of it",
                    result.location,
                )
            return
        if tracking.tensorboard:
            from glasses_spark.tracking.tensorboard import write_event_files

            with self._progress.stage("Writing TensorBoard logs"), _attempting(folder):
                write_event_files(folder)
        if tracking.mlflow:
            with self._progress.stage("Logging to MLflow"), _attempting(folder):
                log_run(folder, uri=tracking.uri, experiment=tracking.experiment)

    def _gallery(self, predictions: DataFrame, pixels: DataFrame) -> Gallery:
        test, image = predictions.where(F.col(SPLIT) == TEST), self.config.image
        return choose_faces(test, pixels, height=image.height, width=image.width)

    def _class_weights(self, train: DataFrame) -> dict[float, float]:
        """Rows over labels times rows of the label, as scikit-learn's "balanced" has it."""
        if self.config.training.class_weight == "none":
            return {}
        if IS_VALIDATION in train.columns:
            train = train.where(~F.col(IS_VALIDATION))
        counts = {row[LABEL]: row["count"] for row in train.groupBy(LABEL).count().collect()}
        rows = sum(counts.values())
        return {label: rows / (len(counts) * count) for label, count in counts.items()}

    def _callbacks(self) -> list[Any]:
        from glasses_spark.backend import import_keras

        callbacks, training = import_keras().callbacks, self.config.training
        made: list[Any] = []
        if training.early_stopping:
            made.append(
                callbacks.EarlyStopping(
                    monitor="val_loss",
                    patience=training.early_stopping,
                    restore_best_weights=True,
                )
            )
        if training.reduce_learning_rate:
            made.append(
                callbacks.ReduceLROnPlateau(
                    monitor="val_loss", factor=0.5, patience=training.reduce_learning_rate
                )
            )
        return made

    def _store(self, spark: SparkSession) -> PixelStore | None:
        data, image, folder = self.config.data, self.config.image, self.config.store.dir
        root = usable_root(spark, folder) if folder else None
        if folder and root is None:
            logger.warning(
                "store.dir is %s, a path of each machine's own disk: no pixels are kept. Name a "
                "place that all of them reach, such as hdfs:///pixels, or file:/ and a shared disk",
                folder,
            )
        if root is None:
            return None
        return PixelStore(
            spark,
            root,
            location=data.images,
            glob=data.glob,
            height=image.height,
            width=image.width,
        )

    def _pixels(self, dataset: Dataset) -> _Pixels:
        """Decode, or read from the store, and part; a failure lets go of what was persisted."""
        data, image, account = self.config.data, self.config.image, dataset.account
        allowed = data.max_bad_fraction if data.on_bad == "quarantine" else 0.0
        spark = dataset.labels.sparkSession
        frame: DataFrame | None = None
        try:
            with self._progress.stage(f"Decoding {account.used:,} images", spark):
                store = self._store(spark)
                if store is None:
                    # Every later stage reads these 16 KB an image instead of the files.
                    frame = to_pixels(
                        dataset.undecoded, height=image.height, width=image.width
                    ).persist(StorageLevel.MEMORY_AND_DISK)
                    stored = Stored(frame, decoded=account.used, reused=0)
                else:
                    stored = store.update(dataset, self._part())
                    frame = stored.frame
                counts = stored.counts or count_images(frame, self._part())
                parted = set_aside(frame, max_bad_fraction=allowed, counts=counts)
                return _Pixels(frame, parted, counts, stored.decoded, stored.reused)
        except BaseException as error:
            if frame is not None:
                frame.unpersist()
            if isinstance(error, ImagesError) and data.on_bad == "fail":
                raise ImagesError(f'data.on_bad is "fail": {error}') from error
            raise

    def _preprocessed(self, spark: SparkSession) -> tuple[Dataset, _Pixels]:
        """Load and preprocess while that is imported which the training needs."""
        # Imported here: it brings the training engine, which the other stages do without.
        from glasses_spark.training.warm_up import warm_up

        warm_up(spark, num_workers=self.config.training.num_workers)
        dataset = self.load(spark)
        pixels = self._pixels(dataset)
        return dataset, self._clustered(dataset, pixels)

    def _clustered(self, dataset: Dataset, pixels: _Pixels) -> _Pixels:
        """Find near-duplicates; a failure lets go of what was persisted."""
        if self.config.split.near_duplicates == "ignore":
            return pixels
        good, image = pixels.set_aside.good, self.config.image
        try:
            with self._progress.stage("Looking for near-duplicates", good.sparkSession):
                found = find_near_duplicates(
                    good, rows=dataset.account.used, height=image.height, width=image.width
                )
        except BaseException:
            pixels.frame.unpersist()
            raise
        good = with_clusters(good, found)
        return replace(pixels, set_aside=replace(pixels.set_aside, good=good), duplicates=found)

    def _require_all_parts(self, pixels: _Pixels) -> None:
        split, counts = self.config.split, Counter(pixels.counts.parts)
        # By the key of each one's fraction; what the two leave is for the training.
        wanted = {TRAIN: "test", TEST: "test"} | (
            {VALIDATION: "validation"} if split.validation else {}
        )
        # Counted by ids; what is split by its cluster instead may have left its part.
        if pixels.duplicates is not None and pixels.duplicates.members is not None:
            members = pixels.duplicates.members
            left, joined = self._part(), self._part(members)
            for one, other in members.where(left != joined).select(left, joined).collect():
                counts[one] -= 1
                counts[other] += 1
        for name, fraction in wanted.items():
            if not counts[name]:
                raise DataError(
                    f"the {name} part of the split is empty: found {counts.total()} images, "
                    f"wanted at least one in each part; give more images, or another "
                    f"split.{fraction} than {getattr(split, fraction)} or run.seed than "
                    f"{self.config.run.seed}"
                )


class _Stopwatch:
    """Seconds by name of what was timed."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def timing(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 3)


def _texts(numbers: Mapping[str, Any]) -> list[list[str]]:
    return [[name.replace("_", " "), number(value)] for name, value in numbers.items()]


def _set_temperature(model: GlassesModel, calibration: Calibration) -> float:
    temperature = 1.0 if calibration.temperature is None else calibration.temperature
    # It was fitted to what the model gives now.
    model.set_temperature(model.get_temperature() * temperature)
    return temperature


def _headline(test: Metrics) -> str:
    return f"Test: accuracy {test.accuracy:.4f}, log loss {test.log_loss:.4f}, {test.rows:,} images"


@contextmanager
def _attempting(folder: Path) -> Iterator[None]:
    """Make a warning of an error in what is done with a run that is finished."""
    try:
        yield
    except Exception as error:
        logger.warning("%s. The results in %s are complete", error, folder)


def _summary(network: Any) -> str:
    lines: list[str] = []
    network.summary(print_fn=lines.append, line_length=80)
    return "\n".join(lines)


def _account(account: Account, quarantine: list[QuarantinedImage]) -> dict[str, int]:
    return {
        "images": account.images,
        "used": account.used - len(quarantine),
        "undefined_label": account.undefined_label,
        "unlabelled": account.unlabelled,
        "label_without_image": account.label_without_image,
        "quarantined": len(quarantine),
        "beyond_limit": account.beyond_limit,
    }


def _choices(result: Result) -> dict[str, Any]:
    """What was chosen on the validation images, if anything."""
    chosen = {"thresholds": result.thresholds, "calibration": result.calibration}
    return {name: one.as_dict() for name, one in chosen.items() if one is not None}


def _environment(spark: SparkSession) -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "spark_master": spark.sparkContext.master,
        "spark_version": spark.version,
        "packages": {name: version(name) for name in _PACKAGES},
    }


def _write(
    spark: SparkSession,
    result: Result,
    config: Config,
    pixels: _Pixels,
    environment: Mapping[str, Any],
    *,
    data_digest: str,
    gallery: Gallery,
) -> None:
    from glasses_spark.scoring.storage import digest

    model = result.model
    with run_place.new_run_place(spark, result.location) as folder:
        (folder / run_folder.CONFIG).write_text(config.to_toml(), encoding="utf-8")
        metrics = {
            **{part: one.as_dict() for part, one in result.parts.items()},
            **_choices(result),
            "data": result.data,
            "store": {"decoded": result.decoded, "reused": result.reused},
            "timings": result.timings,
            "environment": environment,
            "digests": {
                "data": data_digest,
                "weights": digest(model.get_keras_model_config(), model.weights),
            },
        }
        run_folder.write_json(folder / run_folder.METRICS, metrics)
        curves = {part: one.as_dict() for part, one in result.curves.items()}
        run_folder.write_json(folder / run_folder.CURVES, curves)
        run_folder.write_json(folder / run_folder.HISTORY, result.history)
        bad = [(image.path, image.reason) for image in pixels.set_aside.quarantine]
        run_folder.write_parquet(folder / run_folder.PREDICTIONS, result.predictions.orderBy(ID))
        run_folder.write_csv(
            folder / run_folder.QUARANTINE,
            [PATH, "reason"],
            bad,
        )
        write_duplicates(folder, result.predictions, pixels.duplicates)
        # With a scheme: where HDFS is Spark's default, a plain path would be one in HDFS. Not
        # encoded, as Hadoop takes a URI for a plain text.
        model.write().save(f"file:{folder / run_folder.MODEL}")
        network = model.keras_model()
        network.save(folder / run_folder.KERAS_MODEL)
        # Last: all that it shows is there already, and the page alone takes a second or two.
        page = render_report(
            metrics,
            result.history,
            bad,
            config.to_toml(),
            curves=result.curves,
            gallery=with_evidence(gallery, _logits(network)),
        )
        (folder / run_folder.REPORT).write_text(page, encoding="utf-8")
        if config.run.plots:
            plots = report_plots(metrics, result.history, curves=result.curves)
            write_plots(plots, folder / run_folder.PLOTS)


def _logits(network: Any) -> Score:
    """The logits of pictures by a network, which is changed for it."""
    from glasses_spark.scoring.predictor import Predictor

    predictor = Predictor(network, with_logits=True)
    return lambda pictures: predictor.predict(pictures.reshape(len(pictures), -1))[1][:, 0]
