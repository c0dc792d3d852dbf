"""Elsewhere: a folder of this disk under another scheme, as a store that only Hadoop reaches."""

from __future__ import annotations

import uuid
from pathlib import Path

from pyspark.sql import SparkSession


def mounted(spark: SparkSession, folder: Path) -> str:
    """Mount a folder in Hadoop's own view file system.

    Python knows nothing of its scheme, and no task can open a file by its path.

    Returns:
        The URI of the folder, ``viewfs://NAME/mnt``.
    """
    # A name of its own: Hadoop keeps a file system as it was when first used.
    name = uuid.uuid4().hex[:8]
    configuration = spark.sparkContext._jsc.hadoopConfiguration()
    configuration.set(f"fs.viewfs.mounttable.{name}.link./mnt", f"file:{folder}")
    return f"viewfs://{name}/mnt"
