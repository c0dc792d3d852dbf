"""Program of test_rpc.py: a parameter server with at most 1,024 open files, and a worker.

It prints the port of the server and waits for a line. Then the worker joins, with files of its
own, and the program prints whether it could.
"""

from __future__ import annotations

import resource
from contextlib import ExitStack
from typing import Final

from glasses_spark.runtime.keras import import_keras
from glasses_spark.runtime.native_stderr import discard_native_stderr

OPEN_FILES: Final = 1024

# Opened while strangers hold connections, as a driver opens files and connections to its JVM.
OTHER_FILES: Final = 100


def main() -> None:
    # So that what is printed is not TensorFlow's.
    discard_native_stderr()
    import_keras()
    from tests.training.server.served_fit import ServedFit

    resource.setrlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    fit = ServedFit()
    with fit.server, ExitStack() as files:
        print(fit.server.port, flush=True)
        input()
        for _ in range(OTHER_FILES):
            files.enter_context(open(__file__, "rb"))
        with fit.client() as client:
            print(client.join().flag("stop"), flush=True)


if __name__ == "__main__":
    main()
