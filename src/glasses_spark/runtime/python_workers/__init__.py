"""Python workers: how the Python processes of Spark start in local mode.

Spark forks its Python workers from a daemon. `daemon` replaces Spark's own daemon by one that
imports packages before it forks. `fork_server` imports TensorFlow for it beforehand, in a
process that Spark does not wait for. `warm_up` starts both while Spark lists the images.
"""
