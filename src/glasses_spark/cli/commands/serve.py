"""The command ``glasses-spark serve``."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import Final

from glasses_spark.cli.options import Commands, add_command, whole_number_argument
from glasses_spark.cli.saved_run import scorer_settings
from glasses_spark.config.fields import whole_number
from glasses_spark.errors import ConfigError
from glasses_spark.extras import require_extra
from glasses_spark.runtime.location import local_folder

_VARIABLE: Final = "GLASSES_SPARK_TOKEN"


def add_parser(commands: Commands) -> None:
    """Add the command and its options."""
    command = add_command(
        commands,
        "serve",
        "score photographs over HTTP, with a page to try the model",
        [
            "--model runs/demo",
            "--model model.onnx --port 9000",
            "--model runs/demo --host 0.0.0.0 --token-file token.txt",
        ],
    )
    command.add_argument(
        "--model",
        metavar="RUN",
        required=True,
        help="run folder that train wrote, or a .onnx file that export wrote",
    )
    command.add_argument(
        "--host",
        default="127.0.0.1",
        help="interface (default: %(default)s, which only this machine reaches)",
    )
    command.add_argument(
        "--port",
        type=whole_number_argument(whole_number(0, 65535)),
        default=8000,
        help="TCP port; 0 for a free one (default: %(default)s)",
    )
    command.add_argument(
        "--token-file",
        metavar="FILE",
        help=f"file with a secret that clients must send (default: the variable {_VARIABLE}, else "
        "none)",
    )
    command.add_argument(
        "--max-bytes",
        metavar="BYTES",
        type=whole_number_argument(whole_number(1, 2**31)),
        default=32 * 2**20,
        help="largest body of a request (default: %(default)s)",
    )
    command.add_argument(
        "--queue",
        metavar="IMAGES",
        type=whole_number_argument(whole_number(1, 100_000)),
        default=256,
        help="most images in work; more are refused with 503 (default: %(default)s)",
    )
    command.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=whole_number_argument(whole_number(1, 3600)),
        default=30,
        help="for the arrival of a body, and for its answer (default: %(default)s)",
    )
    command.add_argument(
        "--align", action="store_true", help="find the face in each photograph, and crop it"
    )
    command.set_defaults(run=run)


def run(arguments: Namespace) -> None:
    """Answer requests until a signal ends it."""
    token = _token(arguments)
    for module in ("fastapi", "uvicorn", "python_multipart", "prometheus_client"):
        require_extra(module, extra="serve", purpose="serving")
    from glasses_spark.scorer.scorer import Scorer
    from glasses_spark.serving.server import serve
    from glasses_spark.serving.settings import ServeSettings

    _, threshold = scorer_settings(arguments)
    serve(
        Scorer.load(
            local_folder(arguments.model) or arguments.model,
            threshold=threshold,
            align=arguments.align,
        ),
        ServeSettings(
            token=token,
            max_bytes=arguments.max_bytes,
            queue=arguments.queue,
            timeout_s=arguments.timeout,
        ),
        host=arguments.host,
        port=arguments.port,
        ready=lambda url: print(f"Serving {arguments.model} at {url}", flush=True),
    )


def _token(arguments: Namespace) -> str:
    """Return the secret of clients. It is no argument, which other users of a machine see."""
    if arguments.token_file is None:
        return os.environ.get(_VARIABLE, "")
    try:
        token = Path(arguments.token_file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"--token-file: cannot read {arguments.token_file}: "
            f"{getattr(error, 'strerror', None) or 'not UTF-8'}"
        ) from error
    if not token:
        raise ConfigError(f"--token-file: {arguments.token_file} is empty. Write a secret to it")
    return token
