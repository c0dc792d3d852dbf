"""Checkup: all checks, in the order in which a run meets what they look at."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

from glasses_spark.config.config import Config
from glasses_spark.errors import GlassesSparkError, SetupError
from glasses_spark.preflight.doctor.check import FAILED, OK, Check
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
    cores,
    existing_part,
    free_bytes,
    work_folder,
)
from glasses_spark.preflight.doctor.slots import (
    check_barrier,
    check_master,
    check_running,
    check_workers,
    is_local_master,
    slots_of,
)
from glasses_spark.preflight.doctor.software import check_software
from glasses_spark.preflight.footprint import local_disk_of_run, store_of_run
from glasses_spark.runtime.machine import LOOPBACK, total_memory

if TYPE_CHECKING:
    from glasses_spark.preflight.doctor.survey import Survey


def check_machine() -> list[Check]:
    """Look at the machine alone, for a run of any data with all cores."""
    found, work = cores(), work_folder()
    return [
        *check_software(),
        check_cores(found),
        check_memory(total_memory(), processes=found, available=available_memory()),
        check_disk(work, free_bytes(work)),
        check_loopback(),
    ]


def check_run(config: Config) -> list[Check]:
    """Look at the machine and at the data of one configuration, without starting Spark.

    Args:
        config: The run. Data elsewhere than on this machine's disks are not looked at.
    """
    software = check_software()
    found = cores()
    master = config.spark.master or config.spark.conf.get("spark.master") or "local[*]"
    local, conf = is_local_master(master), config.spark.conf
    training = config.training
    checks = [*software, check_cores(found), check_master(master)]
    slots = slots_of(master, conf, found)
    checks += [
        check_workers(
            slots,
            num_workers=training.num_workers,
            mode=training.mode,
            cores=found if local else None,
        ),
        check_barrier(conf, training.mode),
        check_memory(
            total_memory(),
            processes=_at_once(slots, training.num_workers) if local else 0,
            available=available_memory(),
        ),
        check_loopback(),
        check_port(_bind_address(config, local=local), training.port),
    ]
    survey, of_data = _check_data(config)
    checks += [*of_data, *_check_disks(config, survey)]
    checks.append(check_kaggle(needed=survey is not None and not survey.images))
    if "://" not in config.run.dir:
        checks.append(check_writable("Run folder", Path(config.run.dir), "run.dir"))
    return checks


def check_started(config: Config) -> list[Check]:
    """Start Spark as a run would, ask it for its slots, and have it list the data."""
    from glasses_spark.runtime.session import spark_session

    spark_of = config.spark
    try:
        with spark_session(master=spark_of.master or None, conf=spark_of.conf) as spark:
            from glasses_spark.pipeline.pipeline import GlassesPipeline

            training = config.training
            checks = check_running(spark, num_workers=training.num_workers, mode=training.mode)
            try:
                account = GlassesPipeline(config).load(spark).account
            except GlassesSparkError as error:
                failed = Check("Listing by Spark", FAILED, str(error), "labelled images")
                return [*checks, failed]
            found = f"{account.used:,} of {account.images:,} images are used"
            return [*checks, Check("Listing by Spark", OK, found, "labelled images")]
    except SetupError as error:
        return [Check("Spark starts", FAILED, str(error), "a Spark that starts")]


def _check_data(config: Config) -> tuple[Survey | None, list[Check]]:
    # Imported here: it brings pyspark, of which the checks before tell whether it is there.
    from glasses_spark.preflight.doctor.data import check_data, look_at

    data = config.data
    survey, checks = look_at(data.images, data.labels, glob=data.glob)
    if survey is not None and survey.images:
        checks += check_data(
            survey,
            limit=data.limit,
            max_bad_fraction=data.max_bad_fraction if data.on_bad == "quarantine" else 0.0,
            balanced=config.training.class_weight == "balanced",
        )
    return survey, checks


def _check_disks(config: Config, survey: Survey | None) -> list[Check]:
    used = 0 if survey is None else min(config.data.limit or survey.images, survey.images)
    pixels = config.image.height * config.image.width
    work, needed = work_folder(), local_disk_of_run(used, pixels)
    checks = [check_disk(work, free_bytes(work), needed)]
    store = Path(config.store.dir)
    if config.store.dir and "://" not in config.store.dir and survey is not None:
        of_store = store_of_run(used, pixels)
        # Both are written where they are on one disk.
        if existing_part(store).stat().st_dev == work.stat().st_dev:
            of_store += max(needed, MIN_DISK)
        checks.append(check_store(store, free_bytes(store), of_store))
        checks.append(check_writable("Store folder", store, "store.dir"))
    return checks


def _at_once(slots: int | None, num_workers: int | str) -> int:
    slots = slots or 1
    return slots if num_workers == "auto" else min(slots, int(num_workers))


def _bind_address(config: Config, *, local: bool) -> str:
    conf = config.spark.conf
    default = LOOPBACK if local else socket.gethostname()
    return conf.get("spark.driver.bindAddress") or conf.get("spark.driver.host") or default
