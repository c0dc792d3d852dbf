"""A folder of this disk under another URI scheme, as storage that only Hadoop can read."""

from __future__ import annotations

import uuid
from pathlib import Path

from pyspark.sql import SparkSession


def mount(spark: SparkSession, folder: Path) -> str:
    """Mount a folder in Hadoop's view file system.

    Python cannot open files under its scheme, so tasks cannot open them by path.

    Returns:
        The URI of the folder, ``viewfs://NAME/mnt``.
    """
    # A new name, because Hadoop caches the configuration of a file system.
    name = uuid.uuid4().hex[:8]
    configuration = spark.sparkContext._jsc.hadoopConfiguration()
    configuration.set(f"fs.viewfs.mounttable.{name}.link./mnt", f"file:{folder}")
    return f"viewfs://{name}/mnt"
