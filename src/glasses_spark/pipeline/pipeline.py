"""Pipeline: from PNG files and labels to a fitted model, its predictions and metrics."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

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
from glasses_spark.config.config import Config
from glasses_spark.errors import ConfigError, DataError, ImagesError
from glasses_spark.evaluation.calibration import (
    Calibration,
    calibrate,
    scaled_predictions,
    scaled_scores,
)
from glasses_spark.evaluation.cross_validation import assign_folds, cross_validate
from glasses_spark.evaluation.evaluate_parts import PartsEvaluation, evaluate_parts
from glasses_spark.evaluation.label_doubt import doubt_labels
from glasses_spark.evaluation.metrics import (
    Metrics,
    add_predicted_label,
    evaluate,
)
from glasses_spark.evaluation.scores import Scores, collect_scores
from glasses_spark.evaluation.threshold import Costs
from glasses_spark.loading.dataset import Dataset, load_dataset
from glasses_spark.pipeline.fit import summary_text
from glasses_spark.pipeline.pixels import DecodedPixels, account_of_files
from glasses_spark.pipeline.score import apply_temperature, headline
from glasses_spark.pipeline.stopwatch import Stopwatch
from glasses_spark.preprocessing.digest import data_digest
from glasses_spark.preprocessing.duplicates.near_duplicates import (
    find_near_duplicates,
    with_clusters,
)
from glasses_spark.preprocessing.pixels import to_pixels
from glasses_spark.preprocessing.quarantine import (
    QuarantineResult,
    count_images,
    quarantine_images,
)
from glasses_spark.preprocessing.split import (
    TEST,
    TRAIN,
    VALIDATION,
    split_by_id,
    split_column,
    split_key,
)
from glasses_spark.preprocessing.store.pixel_store import PixelStore, Stored, usable_root
from glasses_spark.reports.cross_validation_page import fetch_pictures
from glasses_spark.reports.gallery import Gallery, choose_faces
from glasses_spark.runs import folder as run_folder
from glasses_spark.runs import remote_folder as run_place
from glasses_spark.runs.cross_validation import (
    CrossValidation,
    write_cross_validation,
)
from glasses_spark.runs.result import Prepared, Result
from glasses_spark.runs.tracking.mlflow_run import log_run, require_mlflow
from glasses_spark.runs.tracking.record import attempting
from glasses_spark.runs.write import describe_environment, write_run
from glasses_spark.runtime.location import local_folder
from glasses_spark.runtime.progress import Progress

if TYPE_CHECKING:
    from glasses_spark.scoring.transformer import GlassesModel

logger = logging.getLogger(__name__)


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
        watch = Stopwatch()
        with watch.timing("total_s"):
            with watch.timing("preprocess_s"):
                dataset, pixels = self._preprocessed(spark)
            try:
                good = pixels.screened.good
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
                        temperature = apply_temperature(model, calibration)
                        predictions = self._scaled(predictions, temperature)
                        scores = {
                            part: scaled_scores(one, temperature) for part, one in scores.items()
                        }
                    evaluation = self._evaluate_parts(scores)
                # Now, and not after the report: it is what people wait for.
                self._progress.headline(headline(evaluation.metrics[TEST]))
                with self._progress.stage("Choosing faces for the report", spark):
                    gallery = self._gallery(predictions, good)
                    data = data_digest(good)
            finally:
                pixels.frame.unpersist()
        result = Result(
            train=evaluation.metrics[TRAIN],
            test=evaluation.metrics[TEST],
            validation=evaluation.metrics.get(VALIDATION),
            curves=evaluation.curves,
            thresholds=evaluation.thresholds,
            calibration=calibration,
            data=account_of_files(dataset.account, pixels.screened.quarantine),
            decoded=pixels.decoded,
            reused=pixels.reused,
            timings=watch.seconds,
            history=model.history,
            model=model,
            predictions=predictions.select(ID, PATH, LABEL, SPLIT, PREDICTION, PREDICTED_LABEL),
            location=target,
        )
        with self._progress.stage(f"Writing {target}"):
            write_run(
                spark,
                result,
                self.config,
                quarantine=pixels.screened.quarantine,
                duplicates=pixels.duplicates,
                environment=describe_environment(spark),
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
        watch = Stopwatch()
        with watch.timing("total_s"):
            with watch.timing("preprocess_s"):
                dataset, pixels = self._preprocessed(spark)
            good, image = pixels.screened.good, self.config.image
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
            data=account_of_files(dataset.account, pixels.screened.quarantine),
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
                    environment=describe_environment(spark),
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

    def preprocess(self, dataset: Dataset) -> QuarantineResult:
        """Decode the images, and set those aside that cannot be decoded.

        With a pixel store (``store.dir``) only images are decoded that it does not have,
        and the result is read from it. Without one the decoded images stay in Spark's
        memory or on its disks; ``spark.catalog.clearCache()`` lets them go.

        Unless ``split.near_duplicates`` is ``"ignore"``, the good ones have the column
        ``cluster``, by which they are split: see ``with_clusters``.

        Raises:
            ImagesError: More of them are bad than the configuration allows.
        """
        return self._clustered(dataset, self._pixels(dataset)).screened

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
            account_of_files(dataset.account, pixels.screened.quarantine),
            pixels.decoded,
            pixels.reused,
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
        from glasses_spark.runtime.keras import import_keras
        from glasses_spark.training.build import build_estimator
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
            self._progress.model(summary_text(network))
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
        apply_temperature(model, calibration)
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

    def _evaluate_parts(self, scores: Mapping[str, Scores]) -> PartsEvaluation:
        evaluation = self.config.evaluation
        costs = Costs(evaluation.cost_false_positive, evaluation.cost_false_negative)
        return evaluate_parts(scores, threshold=evaluation.threshold, costs=costs)

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
            from glasses_spark.runs.tracking.tensorboard import write_event_files

            with self._progress.stage("Writing TensorBoard logs"), attempting(folder):
                write_event_files(folder)
        if tracking.mlflow:
            with self._progress.stage("Logging to MLflow"), attempting(folder):
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
        from glasses_spark.runtime.keras import import_keras

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

    def _pixels(self, dataset: Dataset) -> DecodedPixels:
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
                parted = quarantine_images(frame, max_bad_fraction=allowed, counts=counts)
                return DecodedPixels(frame, parted, counts, stored.decoded, stored.reused)
        except BaseException as error:
            if frame is not None:
                frame.unpersist()
            if isinstance(error, ImagesError) and data.on_bad == "fail":
                raise ImagesError(f'data.on_bad is "fail": {error}') from error
            raise

    def _preprocessed(self, spark: SparkSession) -> tuple[Dataset, DecodedPixels]:
        """Load and preprocess while that is imported which the training needs."""
        # Imported here: it brings the training engine, which the other stages do without.
        from glasses_spark.runtime.python_workers.warm_up import warm_up

        warm_up(spark, num_workers=self.config.training.num_workers)
        dataset = self.load(spark)
        pixels = self._pixels(dataset)
        return dataset, self._clustered(dataset, pixels)

    def _clustered(self, dataset: Dataset, pixels: DecodedPixels) -> DecodedPixels:
        """Find near-duplicates; a failure lets go of what was persisted."""
        if self.config.split.near_duplicates == "ignore":
            return pixels
        good, image = pixels.screened.good, self.config.image
        try:
            with self._progress.stage("Looking for near-duplicates", good.sparkSession):
                found = find_near_duplicates(
                    good, rows=dataset.account.used, height=image.height, width=image.width
                )
        except BaseException:
            pixels.frame.unpersist()
            raise
        good = with_clusters(good, found)
        return replace(pixels, screened=replace(pixels.screened, good=good), duplicates=found)

    def _require_all_parts(self, pixels: DecodedPixels) -> None:
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
