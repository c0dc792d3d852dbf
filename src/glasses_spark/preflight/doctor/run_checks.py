"""All checks, in the order in which a run depends on them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from glasses_spark.config.config import Config
from glasses_spark.config.training import BALANCED
from glasses_spark.errors import ConfigError, GlassesSparkError, SetupError
from glasses_spark.preflight.doctor.check import FAILED, OK, WARNING, Check
from glasses_spark.preflight.doctor.kaggle_login import check_kaggle
from glasses_spark.preflight.doctor.machine import (
    MIN_DISK,
    available_memory,
    check_cores,
    check_disk,
    check_loopback,
    check_memory,
    check_port,
    check_store,
    check_writable,
    free_bytes,
    nearest_existing,
    temporary_folder,
)
from glasses_spark.preflight.doctor.place import check_place
from glasses_spark.preflight.doctor.slots import (
    check_barrier,
    check_master,
    check_running,
    check_workers,
)
from glasses_spark.preflight.doctor.software import check_software
from glasses_spark.preflight.footprint import local_disk_of_run, store_of_run
from glasses_spark.runs.folder import check_run_folder
from glasses_spark.runs.target import try_target
from glasses_spark.runtime.driver_address import driver_addresses
from glasses_spark.runtime.location import local_folder
from glasses_spark.runtime.machine import LOOPBACK, count_cores, total_memory
from glasses_spark.runtime.master import is_local_master, master_in_settings
from glasses_spark.runtime.place import has_current_folder
from glasses_spark.runtime.task_slots import count_workers, slots_in_settings

if TYPE_CHECKING:
    from glasses_spark.preflight.doctor.survey import Survey


def check_machine() -> list[Check]:
    """Check the machine for a run that uses all cores."""
    place = check_place({})
    if not has_current_folder():
        return place
    cores, folder = count_cores(), temporary_folder()
    return [
        *check_software(),
        *place,
        check_cores(cores),
        check_memory(total_memory(), workers=cores, available=available_memory()),
        check_disk(folder, free_bytes(folder)),
        check_loopback(),
    ]


def check_run(config: Config) -> list[Check]:
    """Check the machine and the data for one configuration, without starting Spark.

    Args:
        config: Configuration of the run. Data on other machines are not checked.
    """
    place = check_place(config.spark.conf)
    if not has_current_folder():
        return place
    software_checks, cores = check_software(), count_cores()
    survey, data_checks = _check_data(config)
    checks = [
        *software_checks,
        *place,
        check_cores(cores),
        *_check_spark(config, cores),
        *data_checks,
        *_check_disks(config, survey),
        check_kaggle(needed=survey is not None and not survey.images),
    ]
    run_folder = local_folder(config.run.dir)
    if run_folder is not None:
        checks.append(_check_run_folder(run_folder))
    return checks


def _check_run_folder(folder: Path) -> Check:
    """Check the run folder by a try, as a run does."""
    check = check_writable("Run folder", folder, "run.dir")
    if not check.ok:
        return check
    try:
        check_run_folder(folder)
        try_target(folder)
    except ConfigError as error:
        found, _, advice = str(error).removeprefix("run.dir: ").partition(". ")
        return Check(check.name, FAILED, found, check.wanted, advice)
    return check


def check_started(config: Config) -> list[Check]:
    """Start Spark as a run does, check its task slots, and list the data with it.

    Args:
        config: Configuration of the run.
    """
    from glasses_spark.runtime.session import spark_session

    settings, training = config.spark, config.training
    try:
        with spark_session(master=settings.master or None, conf=settings.conf) as spark:
            from glasses_spark.pipeline.pipeline import GlassesPipeline

            checks = check_running(spark, num_workers=training.num_workers, mode=training.mode)
            name, wanted = "Listing by Spark", "labelled images"
            try:
                account = GlassesPipeline(config).load(spark).account
            except GlassesSparkError as error:
                return [*checks, Check(name, FAILED, str(error), wanted)]
            summary = f"{account.used:,} of {account.images:,} images are used"
            if account.unlisted:
                summary += f", Spark does not list {account.unlisted:,}"
                advice = "A run quarantines and names these files"
                return [*checks, Check(name, WARNING, summary, wanted, advice)]
            return [*checks, Check(name, OK, summary, wanted)]
    except SetupError as error:
        return [Check("Spark starts", FAILED, str(error), "a Spark that starts")]


def _check_spark(config: Config, cores: int) -> list[Check]:
    conf, training = config.spark.conf, config.training
    master = master_in_settings(config.spark.master, conf)
    local = is_local_master(master)
    slots = slots_in_settings(master, conf, cores=cores)
    at_once = min(slots or 1, count_workers(training.num_workers, slots=slots or 1))
    _, bind_address = driver_addresses(conf.get, default=LOOPBACK if local else None)
    return [
        check_master(master),
        check_workers(
            slots,
            num_workers=training.num_workers,
            mode=training.mode,
            cores=cores if local else None,
        ),
        check_barrier(conf, training.mode),
        check_memory(
            total_memory(),
            workers=at_once if local else 0,
            available=available_memory(),
        ),
        check_loopback(),
        check_port(bind_address, training.port),
    ]


def _check_data(config: Config) -> tuple[Survey | None, list[Check]]:
    # Not imported with this module: it imports pyspark, which takes a second.
    from glasses_spark.preflight.doctor.data import check_data, check_inputs

    data = config.data
    survey, checks = check_inputs(data.images, data.labels, glob=data.glob)
    if survey is not None and survey.images:
        checks += check_data(
            survey,
            limit=data.limit,
            max_bad_fraction=data.allowed_bad_fraction,
            balanced=config.training.class_weight == BALANCED,
        )
    return survey, checks


def _check_disks(config: Config, survey: Survey | None) -> list[Check]:
    images = 0 if survey is None else min(config.data.limit or survey.images, survey.images)
    pixels = config.image.height * config.image.width
    folder, needed = temporary_folder(), local_disk_of_run(images, pixels)
    checks = [check_disk(folder, free_bytes(folder), needed)]
    store = local_folder(config.store.dir) if config.store.dir else None
    if store is not None and survey is not None:
        store_bytes = store_of_run(images, pixels)
        if nearest_existing(store).stat().st_dev == folder.stat().st_dev:
            # The temporary files go to the same disk.
            store_bytes += max(needed, MIN_DISK)
        checks.append(check_store(store, free_bytes(store), store_bytes))
        checks.append(check_writable("Store folder", store, "store.dir"))
    return checks
