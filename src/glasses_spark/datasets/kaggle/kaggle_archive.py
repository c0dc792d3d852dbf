"""Kaggle: the address of a data set's archive, asked of Kaggle by its own client.

The client finds the credentials, in this order: ``KAGGLE_API_TOKEN`` or
``~/.kaggle/access_token``; ``KAGGLE_USERNAME`` and ``KAGGLE_KEY``, or ``kaggle.json``;
what ``kaggle auth login`` has left. They are never looked at here.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any, Final

import requests

from glasses_spark.datasets.kaggle.download import PASSING, TryAgain, retry_after, why
from glasses_spark.errors import FetchError, GlassesSparkError, SetupError

logger = logging.getLogger(__name__)

GET_ONE: Final = (
    "run `kaggle auth login`, or make a token at https://www.kaggle.com/settings/api and put it "
    "into the file ~/.kaggle/access_token or the variable KAGGLE_API_TOKEN"
)


def locate_archive(dataset: str) -> Callable[[], str]:
    """Return what asks Kaggle for the address of an archive.

    Args:
        dataset: ``OWNER/NAME`` or ``OWNER/NAME/VERSION``.

    Returns:
        A function that gives the address, signed for a while, anew at each call. It
        raises TryAgain where it may help to call it again; FetchError where Kaggle
        denies it, with one line that says what to do; SetupError where its client
        cannot be used.
    """
    client: list[tuple[Any, bool]] = []

    def locate() -> str:
        with _quietly(dataset):
            if not client:
                client.append(_client())
            api, known = client[0]
            try:
                return _ask(api, dataset)
            except requests.HTTPError as error:
                refusal = _refusal(error.response, dataset, known=known)
        raise refusal

    return locate


def _client() -> tuple[Any, bool]:
    """Give Kaggle's client, and whether it has found a credential."""
    try:
        # Imported late: it takes half a second, and looks for credentials at once.
        from kaggle.api.kaggle_api_extended import KaggleApi
    except ImportError as error:
        raise SetupError(
            f"the package kaggle cannot be used ({error.msg}). Install kaggle>=2.2,<2.2.5 and six"
        ) from None
    api = KaggleApi()
    # With VERBOSE set it prints every header, and reads the whole archive to print that, too.
    api.args = [one for one in api.args if one != "--verbose"]
    try:
        api.authenticate()
    except SystemExit:
        # Some data sets are given to anybody.
        logger.info("No Kaggle credential found: trying without")
        return api, False
    return api, True


def _ask(api: Any, dataset: str) -> str:
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest

    owner, name, version = api.split_dataset_string(dataset)
    request = ApiDownloadDatasetRequest()
    request.owner_slug, request.dataset_slug = owner, name
    request.dataset_version_number = int(version) if version else None
    with api.build_kaggle_client() as client:
        # It follows Kaggle to the archive, and leaves that unread.
        response = client.datasets.dataset_api_client.download_dataset(request)
        with response:
            return str(response.url)


def _refusal(response: requests.Response | None, dataset: str, *, known: bool) -> Exception:
    """Say what an answer of Kaggle's means."""
    status = 0 if response is None else response.status_code
    if response is not None and status in PASSING:
        return TryAgain(f"Kaggle answers {status}", retry_after(response.headers))
    if status == requests.codes.unauthorized:
        if known:
            return FetchError(f"{dataset}: Kaggle refuses the credential (401): {GET_ONE}")
        return FetchError(f"{dataset}: Kaggle wants a credential (401), found none: {GET_ONE}")
    page = f"https://www.kaggle.com/datasets/{dataset}"
    if status == requests.codes.forbidden:
        # That is also its answer for a name that nobody has.
        missing = "" if known else f"; if it takes a credential: {GET_ONE}"
        return FetchError(
            f"{dataset}: Kaggle denies it (403): look at {page} whether it is there, and whether "
            f"its terms are to be accepted first{missing}"
        )
    if status == requests.codes.not_found:
        return FetchError(
            f"{dataset}: Kaggle has no such data set (404): check data.dataset, OWNER/NAME as in "
            f"{page}"
        )
    return FetchError(f"{dataset}: Kaggle answers {status}: try again later, or look at {page}")


@contextmanager
def _quietly(dataset: str) -> Iterator[None]:
    """Let the client print nothing, and no error tell of a header or a signed address."""
    problem: Exception | None = None
    # Where it finds no credential it calls exit(), which also closes standard input.
    stdin, sys.stdin = sys.stdin, StringIO()
    with redirect_stdout(StringIO()):
        try:
            yield
        except (GlassesSparkError, TryAgain):
            raise
        except requests.HTTPError as error:
            # While it looked into the credential.
            problem = _refusal(error.response, dataset, known=True)
        except (requests.ConnectionError, requests.Timeout) as error:
            problem = TryAgain(f"Kaggle cannot be reached: {why(error)}")
        except ValueError:
            # Its message is the header that cannot be sent, credential and all.
            problem = FetchError(
                f"{dataset}: the Kaggle credential, or what Kaggle answers, is malformed, such as "
                f"a token with a line break in it: {GET_ONE}"
            )
        except OSError as error:
            problem = SetupError(
                f"the Kaggle client cannot start: {error.filename} ({error.strerror}). Set "
                "KAGGLE_CONFIG_DIR to a folder that can be written"
            )
        except Exception as error:
            problem = FetchError(
                f"{dataset}: the Kaggle client fails with {type(error).__name__}, which may hold a "
                "credential and is not shown. Check the credential and the network"
            )
        finally:
            sys.stdin = stdin
    if problem is not None:
        raise problem from None
