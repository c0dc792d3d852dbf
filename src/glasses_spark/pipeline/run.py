"""Run: the stages of one run, from the listing to the written results."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pyspark.sql import SparkSession

from glasses_spark.columns import (
    ID,
    LABEL,
    PATH,
    PREDICTED_LABEL,
    PREDICTION,
    SPLIT,
    TEST,
    TRAIN,
    VALIDATION,
)
from glasses_spark.errors import GlassesSparkError
from glasses_spark.loading.dataset import Dataset
from glasses_spark.pipeline.checkpoints import own_checkpoints
from glasses_spark.pipeline.damage import names_damage
from glasses_spark.pipeline.pixels import (
    DecodedPixels,
    check_scored,
    data_counts,
    require_all_parts,
)
from glasses_spark.pipeline.score import choose_test_faces, headline, score_parts
from glasses_spark.pipeline.stopwatch import Stopwatch
from glasses_spark.pipeline.training_pixels import training_statistics
from glasses_spark.preprocessing.digest import data_digest
from glasses_spark.preprocessing.quarantine import reason_counts
from glasses_spark.runs.new_folder import NewRunFolder
from glasses_spark.runs.result import Result
from glasses_spark.runs.write import describe_environment, write_fitted, write_run
from glasses_spark.runtime.persist import persist
from glasses_spark.runtime.progress import Progress
from glasses_spark.runtime.spark_errors import spark_errors

if TYPE_CHECKING:
    from glasses_spark.pipeline.pipeline import GlassesPipeline


@spark_errors(GlassesSparkError, "the run")
@names_damage
def run_stages(
    pipeline: GlassesPipeline,
    spark: SparkSession,
    new: NewRunFolder,
    *,
    load: Callable[[SparkSession], tuple[Dataset, DecodedPixels]],
    progress: Progress,
) -> Result:
    """Load, decode, fit, score, evaluate and write.

    Args:
        pipeline: The pipeline of the run, with its configuration.
        spark: Session of the run.
        new: The new run folder.
        load: Lists and decodes the images.
        progress: Reports the stages.
    """
    config, watch = pipeline.config, Stopwatch()
    with watch.timing("total_s"):
        with watch.timing("preprocess_s"):
            dataset, pixels = load(spark)
        try:
            good = pixels.images.good
            train, _ = pipeline.split(good)
            require_all_parts(pixels, config)
            data = data_counts(dataset, pixels, config)
            with watch.timing("fit_s"), own_checkpoints(spark, config.run) as checkpoints:
                model = pipeline.fit(train, checkpoint_dir=checkpoints)
            environment = describe_environment(spark)
            # Nothing that follows may lose it.
            new.write_model(lambda to: write_fitted(to, model, config, environment))
            with watch.timing("score_s"), progress.stage("Scoring", spark):
                predictions = persist(pipeline.predict(model, good))
                scored = score_parts(model, predictions, config)
            # Shown before the report is written, because users wait for it.
            progress.headline(headline(scored.evaluation.metrics[TEST]))
            with progress.stage("Choosing faces for the report", spark):
                chosen = choose_test_faces(scored.predictions, rows=data[TEST])
                digest, shown = data_digest(good, chosen.ids)
                image = config.image
                gallery = chosen.gallery(shown, height=image.height, width=image.width)
            with progress.stage("Measuring the training pixels", spark):
                training_pixels = training_statistics(
                    train,
                    rows=data[TRAIN] + data.get(VALIDATION, 0),
                    height=config.image.height,
                    width=config.image.width,
                )
        except BaseException:
            pixels.release()
            raise
        finally:
            pixels.frame.unpersist()
    metrics = scored.evaluation.metrics
    check_scored(data, {part: of_part.rows for part, of_part in metrics.items()})
    result = Result(
        train=metrics[TRAIN],
        test=metrics[TEST],
        validation=metrics.get(VALIDATION),
        curves=scored.evaluation.curves,
        thresholds=scored.evaluation.thresholds,
        calibration=scored.calibration,
        data=data,
        quarantine=reason_counts(pixels.images.quarantine),
        decoded=pixels.decoded,
        reused=pixels.reused,
        timings=watch.seconds,
        history=model.history,
        model=model,
        predictions=scored.predictions.select(ID, PATH, LABEL, SPLIT, PREDICTION, PREDICTED_LABEL),
        location=config.run.dir,
        training_pixels=training_pixels,
    )
    with progress.stage(f"Writing {config.run.dir}"):
        new.finish(
            lambda folder: write_run(
                folder,
                result,
                config,
                quarantine=pixels.images.quarantine,
                duplicates=pixels.duplicates,
                environment=environment,
                data_digest=digest,
                gallery=gallery,
            )
        )
    pixels.unpersist()
    return result
