"""Address of a data set's archive, requested with Kaggle's own client.

The client looks for credentials in this order: ``KAGGLE_API_TOKEN`` or
``~/.kaggle/access_token``; ``KAGGLE_USERNAME`` and ``KAGGLE_KEY``, or ``kaggle.json``; the
session of ``kaggle auth login``. This module never reads them.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import TYPE_CHECKING, Any, Final

from glasses_spark.datasets.kaggle.download import (
    RETRIED_STATUSES,
    RetryableError,
    describe_connection_error,
    retry_after,
)
from glasses_spark.errors import FetchError, GlassesSparkError, SetupError
from glasses_spark.extras import require_extra

# Imported when it is used: requests is an optional package.
if TYPE_CHECKING:
    import requests

logger = logging.getLogger(__name__)

CREDENTIAL_HELP: Final = (
    "run `kaggle auth login`, or create a token at https://www.kaggle.com/settings/api and put it "
    "into the file ~/.kaggle/access_token or the variable KAGGLE_API_TOKEN"
)


def locate_archive(dataset: str) -> Callable[[], str]:
    """Return a function that requests the address of an archive from Kaggle.

    Args:
        dataset: ``OWNER/NAME`` or ``OWNER/NAME/VERSION``.

    Returns:
        A function that returns a new address, signed for a limited time, at each call. It
        raises RetryableError if another call may succeed; FetchError if Kaggle refuses;
        SetupError if the client is not installed or cannot start.
    """
    client: list[tuple[Any, bool]] = []

    def locate() -> str:
        with _quiet_client(dataset):
            if not client:
                client.append(_make_client())
            api, has_credential = client[0]
            import requests

            try:
                return _request_address(api, dataset)
            except requests.HTTPError as error:
                refusal = _refusal(error.response, dataset, has_credential=has_credential)
        raise refusal

    return locate


def _make_client() -> tuple[Any, bool]:
    """Return Kaggle's client, and whether it has found a credential."""
    # Imported late: it takes half a second, and looks for credentials immediately.
    module = require_extra(
        "kaggle.api.kaggle_api_extended", extra="kaggle", purpose="fetching from Kaggle"
    )
    api = module.KaggleApi()
    # With VERBOSE set the client prints every header, and reads the whole archive to print it.
    api.args = [argument for argument in api.args if argument != "--verbose"]
    try:
        api.authenticate()
    except SystemExit:
        # Some data sets need no credential.
        logger.info("No Kaggle credential found: trying without one")
        return api, False
    return api, True


def _request_address(api: Any, dataset: str) -> str:
    from kagglesdk.datasets.types.dataset_api_service import ApiDownloadDatasetRequest

    owner, name, version = api.split_dataset_string(dataset)
    request = ApiDownloadDatasetRequest()
    request.owner_slug, request.dataset_slug = owner, name
    request.dataset_version_number = int(version) if version else None
    with api.build_kaggle_client() as client:
        # The client follows the redirection to the archive, but does not read it.
        response = client.datasets.dataset_api_client.download_dataset(request)
        with response:
            return str(response.url)


def _refusal(
    response: requests.Response | None, dataset: str, *, has_credential: bool
) -> Exception:
    """Return the error for an HTTP status from Kaggle."""
    status = 0 if response is None else response.status_code
    if response is not None and status in RETRIED_STATUSES:
        return RetryableError(f"Kaggle answers {status}", retry_after(response.headers))
    if status == 401:
        if has_credential:
            return FetchError(f"{dataset}: Kaggle rejects the credential (401): {CREDENTIAL_HELP}")
        return FetchError(
            f"{dataset}: Kaggle needs a credential (401), found none: {CREDENTIAL_HELP}"
        )
    page = f"https://www.kaggle.com/datasets/{dataset}"
    if status == 403:
        # Kaggle also answers 403 for names that do not exist.
        hint = "" if has_credential else f"; if it needs a credential: {CREDENTIAL_HELP}"
        return FetchError(
            f"{dataset}: Kaggle denies access (403). Check at {page} that the data set exists and "
            f"whether its terms must be accepted first{hint}"
        )
    if status == 404:
        return FetchError(
            f"{dataset}: Kaggle has no such data set (404). Check data.dataset: OWNER/NAME as in "
            f"{page}"
        )
    return FetchError(f"{dataset}: Kaggle answers {status}. Try again later, or look at {page}")


@contextmanager
def _quiet_client(dataset: str) -> Iterator[None]:
    """Suppress the client's output, and convert its errors.

    No error may contain a header or a signed address.
    """
    problem: Exception | None = None
    # Without a credential the client calls exit(), which also closes standard input.
    stdin, sys.stdin = sys.stdin, StringIO()
    with redirect_stdout(StringIO()):
        try:
            yield
        except (GlassesSparkError, RetryableError):
            raise
        except Exception as error:
            problem = _convert_error(error, dataset)
        finally:
            sys.stdin = stdin
    if problem is not None:
        raise problem from None


def _convert_error(error: Exception, dataset: str) -> Exception:
    """Return the error to raise in place of one of the client's, without any secret."""
    import requests

    if isinstance(error, requests.HTTPError):
        # While the client checked the credential.
        return _refusal(error.response, dataset, has_credential=True)
    if isinstance(error, requests.ConnectionError | requests.Timeout):
        return RetryableError(f"Kaggle cannot be reached: {describe_connection_error(error)}")
    if isinstance(error, ValueError):
        # Its message is the header that cannot be sent, credential included.
        return FetchError(
            f"{dataset}: the Kaggle credential or Kaggle's answer is malformed, for example a "
            f"token with a line break: {CREDENTIAL_HELP}"
        )
    if isinstance(error, OSError):
        return SetupError(
            f"the Kaggle client cannot start: {error.filename} ({error.strerror}). Set "
            "KAGGLE_CONFIG_DIR to a folder that can be written"
        )
    return FetchError(
        f"{dataset}: the Kaggle client fails with {type(error).__name__}; its message may contain "
        "a credential and is not shown. Check the credential and the network"
    )
