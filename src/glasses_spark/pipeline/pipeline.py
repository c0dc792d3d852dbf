"""Pipeline: from PNG files and labels to a fitted model, its predictions and metrics."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyspark.sql import DataFrame, SparkSession

from glasses_spark.config.config import Config
from glasses_spark.errors import DataError, GlassesSparkError
from glasses_spark.evaluation.calibration import Calibration
from glasses_spark.evaluation.metrics import Metrics, binary_metrics
from glasses_spark.loading.dataset import Dataset, load_dataset
from glasses_spark.pipeline.checkpoints import require_resumable
from glasses_spark.pipeline.cross_validate import validate_folds
from glasses_spark.pipeline.damage import names_damage
from glasses_spark.pipeline.fit import fit_model
from glasses_spark.pipeline.pixels import (
    DecodedPixels,
    cluster_images,
    data_counts,
    decode_images,
)
from glasses_spark.pipeline.prepare import prepare_store
from glasses_spark.pipeline.run import run_stages
from glasses_spark.pipeline.score import (
    calibrate_model,
    predict_parts,
)
from glasses_spark.pipeline.stopwatch import Stopwatch
from glasses_spark.preprocessing.quarantine import QuarantineResult
from glasses_spark.preprocessing.split import split_by_id
from glasses_spark.runs.cross_validation import CrossValidation, write_cross_validation
from glasses_spark.runs.folder import CROSS_VALIDATION, cross_validation_folder
from glasses_spark.runs.new_folder import check_target
from glasses_spark.runs.remote_folder import check_run_location, new_run_folder_at
from glasses_spark.runs.result import Prepared, Result
from glasses_spark.runs.tracking.mlflow_run import require_mlflow
from glasses_spark.runs.tracking.record import record_run
from glasses_spark.runs.write import describe_environment
from glasses_spark.runtime.connect import require_classic
from glasses_spark.runtime.progress import Progress
from glasses_spark.runtime.spark_errors import spark_errors

if TYPE_CHECKING:
    from glasses_spark.scoring.transformer import GlassesModel

_INSTEAD: Final = "call load, preprocess, split, fit, predict and evaluate one by one"


class GlassesPipeline:
    """Chains the stages of a run over a SparkSession.

    ``run`` executes all stages. They can also be called one by one:

        pipeline = GlassesPipeline(Config.load("configs/demo.toml"))
        dataset = pipeline.load(spark)
        pixels = pipeline.preprocess(dataset).good
        train, test = pipeline.split(pixels)
        model = pipeline.fit(train)
        metrics = pipeline.evaluate(pipeline.predict(model, test))
    """

    def __init__(self, config: Config | None = None, *, progress: Progress | None = None) -> None:
        """Create a pipeline; nothing is read yet.

        Args:
            config: Configuration of the run; the published experiment by default.
            progress: Reports the progress of the stages; by default to the log.
        """
        self.config = config or Config()
        self._progress = progress or Progress()
        self._summary_shown = False

    @spark_errors(GlassesSparkError, "the run")
    def run(self, spark: SparkSession) -> Result:
        """Execute all stages and write the run folder.

        Args:
            spark: Session of the run. It is not stopped.

        Returns:
            The result, which is also written to ``run.dir``.

        Raises:
            GlassesSparkError: A stage failed. The results in ``run.dir`` are unchanged; if the
                training had begun, a run with ``run.resume`` goes on from its checkpoint, and
                if it had ended, the message names the folder of the fitted model.
            ResultsError: ``run.dir`` cannot be written; the message names where the results are.
        """
        require_classic(spark, "GlassesPipeline.run", instead=_INSTEAD)
        target = self.config.run.dir
        check_run_location(spark, target)
        require_resumable(spark, self.config.run)
        if self.config.tracking.mlflow:
            require_mlflow()
        with new_run_folder_at(spark, target) as new:
            result = run_stages(
                self, spark, new, load=self._load_and_preprocess, progress=self._progress
            )
        record_run(target, self.config.tracking, self._progress)
        return result

    @spark_errors(GlassesSparkError, "the cross-validation")
    @names_damage
    def cross_validate(self, spark: SparkSession, out: Path | None = None) -> CrossValidation:
        """Cross-validate: fit one model for each fold, on all other folds.

        Args:
            spark: Session of the run. It is not stopped.
            out: Folder for the results; by default ``run.dir`` with ``-cross-validation``
                appended. The results of an earlier cross-validation are replaced.

        Returns:
            The result, which is also written to the folder.

        Raises:
            GlassesSparkError: A stage failed; the folder is unchanged.
        """
        require_classic(spark, "GlassesPipeline.cross_validate", instead=_INSTEAD)
        target = out or cross_validation_folder(self.config.run.dir)
        check_target(target, results=CROSS_VALIDATION)
        watch = Stopwatch()
        with watch.timing("total_s"):
            with watch.timing("preprocess_s"):
                dataset, pixels = self._load_and_preprocess(spark)
                data = data_counts(dataset, pixels, self.config, by_part=False)
            validated = validate_folds(
                pixels,
                self.config,
                watch,
                fit=self.fit,
                predict=self.predict,
                evaluate=self.evaluate,
            )
        result = CrossValidation(
            folds=validated.folds,
            out_of_fold=validated.out_of_fold,
            doubt=validated.doubt,
            data=data,
            timings=watch.seconds,
            run_dir=target,
        )
        try:
            with self._progress.stage(f"Writing {target}"):
                write_cross_validation(
                    result,
                    self.config.without_secrets().to_toml(),
                    pictures=validated.pictures,
                    duplicates=pixels.duplicates,
                    environment=describe_environment(spark),
                )
        finally:
            validated.folds.unpersist()
            pixels.unpersist()
        return result

    @spark_errors(DataError, "the listing of images and labels")
    def load(self, spark: SparkSession) -> Dataset:
        """List the images and join them with their labels, without reading any image."""
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

    @spark_errors(DataError, "the decoding")
    @names_damage
    def preprocess(self, dataset: Dataset) -> QuarantineResult:
        """Decode the images, and quarantine those that cannot be decoded.

        With a pixel store (``store.dir``), only new or changed images are decoded, and
        the result is read from the store. Without one, the decoded images are persisted;
        ``spark.catalog.clearCache()`` unpersists them.

        Returns:
            Good images and quarantine. Unless ``split.near_duplicates`` is ``"ignore"``,
            the good images have the column ``cluster``, by which they are split.

        Raises:
            ImagesError: More images cannot be decoded than the configuration allows.
        """
        return self._cluster(dataset, self._decode(dataset)).images

    @spark_errors(DataError, "the decoding")
    @names_damage
    def prepare(
        self, spark: SparkSession, *, verify: bool = False, vacuum: bool = False
    ) -> Prepared:
        """List the images and update the pixel store.

        Args:
            spark: Running session.
            verify: Whether to read all stored rows first, and to decode the images of damaged
                files again.
            vacuum: Whether to remove at the end what no run uses.

        Raises:
            ConfigError: There is no store: ``store.dir`` is empty, or a path on each
                machine's own disk.
        """
        return prepare_store(
            spark, self.config, self.load, self._decode, verify=verify, vacuum=vacuum
        )

    def split(self, pixels: DataFrame) -> tuple[DataFrame, DataFrame]:
        """Return the rows to fit on, including validation rows, and the test rows."""
        return split_by_id(pixels, test=self.config.split.test, seed=self.config.run.seed)

    def fit(self, train: DataFrame, *, checkpoint_dir: str = "") -> GlassesModel:
        """Train the CNN.

        Args:
            train: ``pixels``, ``label`` and, with ``split.validation``, ``id``, which
                decides which rows are validation rows.
            checkpoint_dir: Folder or URI of checkpoints, from which the fit goes on; empty
                reads and writes none.

        Returns:
            The fitted model, whose ``transform`` adds ``prediction`` and
            ``rawPrediction``.
        """
        # A cross-validation fits the same network several times.
        show_summary, self._summary_shown = not self._summary_shown, True
        return fit_model(
            train,
            self.config,
            self._progress,
            show_summary=show_summary,
            checkpoint_dir=checkpoint_dir,
        )

    def predict(self, model: GlassesModel, pixels: DataFrame) -> DataFrame:
        """Score images in one pass.

        Args:
            model: A fitted model.
            pixels: ``id``, ``path``, ``label`` and ``pixels``.

        Returns:
            ``id``, ``path``, ``label``, ``split`` (the set of the image),
            ``prediction``, ``rawPrediction`` (if the model returns it) and
            ``predicted_label``.
        """
        return predict_parts(model, pixels, self.config)

    def calibrate(self, model: GlassesModel, predictions: DataFrame) -> Calibration:
        """Fit a temperature on the validation rows, and set it in the model.

        Args:
            model: The fitted model; its later predictions use the temperature.
            predictions: Its predictions, including validation rows.

        Returns:
            The temperature and its effect.

        Raises:
            ScoringError: There are no validation rows.
        """
        return calibrate_model(model, predictions, self.config)

    def evaluate(self, predictions: DataFrame) -> Metrics:
        """Compute the metrics of predictions at the configured threshold."""
        return binary_metrics(predictions, threshold=self.config.evaluation.threshold)

    def _load_and_preprocess(self, spark: SparkSession) -> tuple[Dataset, DecodedPixels]:
        """Load and preprocess, while TensorFlow is imported in the background."""
        # Imported here because it imports modules that other stages do not need.
        from glasses_spark.runtime.python_workers.warm_up import warm_up

        warm_up(spark, num_workers=self.config.training.num_workers)
        dataset = self.load(spark)
        return dataset, self._cluster(dataset, self._decode(dataset))

    def _decode(self, dataset: Dataset) -> DecodedPixels:
        return decode_images(dataset, self.config, self._progress)

    def _cluster(self, dataset: Dataset, pixels: DecodedPixels) -> DecodedPixels:
        return cluster_images(dataset, pixels, self.config, self._progress)
