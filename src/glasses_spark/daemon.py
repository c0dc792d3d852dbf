"""Daemon: the process that Spark forks its Python workers from, with TensorFlow imported.

Spark starts it in place of ``pyspark.daemon`` where ``spark.python.daemon.module`` names
it. There is one for each set of environment variables that functions were made with (see
``worker_environment``); in those that train or score, TensorFlow is imported here, once,
and not in each worker. What a fork must not inherit, TensorFlow's pools of threads, is made
on first use, which is after the fork.
"""

from __future__ import annotations

from glasses_spark.executors import threads_of_this_process


def main() -> None:
    """Import what the workers need, and serve Spark until it ends."""
    if threads_of_this_process() is not None:
        from glasses_spark.backend import import_keras

        import_keras()
        # And what both kinds of work are made of, with all that it imports.
        import glasses_spark.scoring.predictor
        import glasses_spark.training.worker  # noqa: F401
    from pyspark import daemon

    daemon.manager()  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
