"""Objects in the heap of Spark's JVM."""

from __future__ import annotations

from typing import Any

from pyspark.sql import SparkSession


def live_objects(spark: SparkSession, name: str) -> int:
    """Return the number of objects of a class, after a collection.

    Args:
        spark: Session of the JVM.
        name: Full name of the class.
    """
    context = spark.sparkContext
    jvm: Any = context._jvm
    new_array: Any = context._gateway.new_array  # type: ignore[union-attr]

    def array(kind: Any, *values: Any) -> Any:
        made = new_array(kind, len(values))
        for index, value in enumerate(values):
            made[index] = value
        return made

    thing, string = jvm.java.lang.Object, jvm.java.lang.String
    server = jvm.java.lang.management.ManagementFactory.getPlatformMBeanServer()
    commands = jvm.javax.management.ObjectName("com.sun.management:type=DiagnosticCommand")
    arguments = array(thing, array(string))
    signature = array(string, "[Ljava.lang.String;")
    # By the interface: the class of the server is hidden in its module.
    methods = jvm.java.lang.Class.forName("javax.management.MBeanServer").getMethods()
    (invoke,) = [method for method in methods if method.getName() == "invoke"]
    text = invoke.invoke(server, array(thing, commands, "gcClassHistogram", arguments, signature))
    rows = (line.split() for line in text.splitlines())
    return sum(int(row[1]) for row in rows if len(row) > 3 and row[3] == name)
