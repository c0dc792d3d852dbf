"""App: the HTTP interface of a service."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict
from http import HTTPStatus
from importlib.metadata import version
from importlib.resources import files
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from glasses_spark.printable import printable
from glasses_spark.runtime.machine import count_cores
from glasses_spark.scorer.photo import Photo
from glasses_spark.scorer.scorer import Scorer
from glasses_spark.serving.batcher import Batcher
from glasses_spark.serving.evidence import evidence_of
from glasses_spark.serving.figures import CONTENT_TYPE, Figures
from glasses_spark.serving.settings import ServeSettings
from glasses_spark.serving.uploads import (
    Memory,
    RequestError,
    Upload,
    declared_size,
    read_uploads,
)

logger = logging.getLogger(__name__)

_PAGE: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}

# Without a token.
_OPEN: Final = ("/healthz", *_PAGE)

_HEADERS: Final = {
    # Nothing from other sites, and nothing written into the page as code.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data: blob:; connect-src 'self'; form-action 'none'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

_BODY: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "image/png": {"schema": {"type": "string", "format": "binary"}},
            "image/jpeg": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "properties": {
                        "images": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                        }
                    },
                }
            },
        },
    }
}

_SCORED: Final = "scored"
_UNDECODABLE: Final = "undecodable"


class Prediction(BaseModel):
    """Result for one image."""

    name: str = Field(description="Name of the file, as the client gave it; may be empty.")
    probability: float | None = Field(description="Probability of the label 1, in [0, 1].")
    predicted_label: int | None = Field(description="1 if it reaches the threshold, else 0.")
    error: str | None = Field(description="Why the image cannot be scored; null if it can.")
    warning: str | None = Field(
        default=None,
        description="How the image differs from the training pictures, so that the probability may "
        "mean nothing; else null.",
    )


class Predictions(BaseModel):
    """Results in the order of the images."""

    model: str = Field(description="Digest of the model's weights.")
    threshold: float
    results: list[Prediction]


class Explanation(BaseModel):
    """Result for one image with its evidence."""

    model: str
    threshold: float
    result: Prediction
    seen: str = Field(description="PNG of what the network saw, in Base64.")
    evidence: str = Field(description="PNG to lay over it, in Base64.")
    strongest: float = Field(description="Largest change of the logit by a part of the image.")


class Failure(BaseModel):
    """Why a request is not answered."""

    error: str


_FAILURES: Final[dict[int | str, dict[str, Any]]] = {
    int(status): {"model": Failure}
    for status in (
        HTTPStatus.BAD_REQUEST,
        HTTPStatus.UNAUTHORIZED,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        HTTPStatus.UNPROCESSABLE_ENTITY,
        HTTPStatus.SERVICE_UNAVAILABLE,
    )
}


def create_app(scorer: Scorer, settings: ServeSettings) -> FastAPI:
    """Return the HTTP interface of a model of images.

    Args:
        scorer: The model.
        settings: Limits and access.

    Raises:
        ScoringError: The model does not take images.
    """
    service = _Service(scorer, settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.batcher.running():
            yield

    # The pages of FastAPI for its documentation load scripts from another site.
    app = FastAPI(
        title="glasses_spark",
        version=version("glasses-spark"),
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.middleware("http")(service.guard)
    app.exception_handler(RequestError)(_refused)
    app.post("/predict", responses=_FAILURES, openapi_extra=_BODY)(service.predict)
    app.post("/explain", responses=_FAILURES, openapi_extra=_BODY)(service.explain)
    app.get("/healthz")(service.health)
    app.get("/metrics", response_class=Response)(service.metrics)
    for path in _PAGE:
        app.get(path, include_in_schema=False)(service.page)
    return app


class _Service:
    """What the requests to one model share."""

    def __init__(self, scorer: Scorer, settings: ServeSettings) -> None:
        _ = scorer.size  # raises an error for a model of something else
        self._settings = settings
        self._scorer = scorer
        self._figures = Figures()
        self._memory = Memory(settings.memory)
        self._in_work = 0
        self.batcher = Batcher(
            scorer, threads=count_cores(), observe=self._figures.batch_rows.observe
        )
        folder = files("glasses_spark.serving") / "page"
        self._pages = {path: (folder / name).read_bytes() for path, (name, _) in _PAGE.items()}

    async def guard(
        self, request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Refuse what may not use the service, and count all requests."""
        began = time.perf_counter()
        refusal = self._refusal(request)
        try:
            response = await call_next(request) if refusal is None else _failure(refusal)
        except Exception as error:
            # The client learns nothing of it.
            logger.exception("%s: %s", request.url.path, type(error).__name__)
            response = _failure(
                RequestError(HTTPStatus.INTERNAL_SERVER_ERROR, "the service failed; see its log")
            )
        route = request.scope.get("route")
        # Not the path of the request: a stranger would make a new series for each.
        path = getattr(route, "path", "other")
        self._figures.requests.labels(path, response.status_code).inc()
        self._figures.seconds.labels(path).observe(time.perf_counter() - began)
        response.headers.update(_HEADERS)
        return response

    async def predict(self, request: Request) -> Predictions:
        """Score one PNG or JPEG file as the body, or the files of a form."""
        async with self._work(request) as uploads:
            results = await asyncio.gather(*map(self._predict, uploads))
        _require_one([result.error for result in results])
        return Predictions(
            model=self._scorer.metadata.digest,
            threshold=self._scorer.threshold,
            results=list(results),
        )

    async def explain(self, request: Request) -> Explanation:
        """Score one image, and show what the network saw and where it found its evidence."""
        async with self._work(request) as uploads:
            if len(uploads) != 1:
                raise RequestError(
                    HTTPStatus.BAD_REQUEST, f"expected one image, found {len(uploads)}"
                )
            photo = await self.batcher.decode(uploads[0])
            _require_one([photo.error])
            result = await self._result(photo)
            pixels = photo.pixels
            assert pixels is not None  # it has no error
            evidence = await self.batcher.compute(lambda: evidence_of(self._scorer, pixels))
        return Explanation(
            model=self._scorer.metadata.digest,
            threshold=self._scorer.threshold,
            result=result,
            **asdict(evidence),
        )

    async def health(self) -> dict[str, str]:
        """Return that the service answers, and its model."""
        return {"status": "ok", "model": self._scorer.metadata.digest}

    async def metrics(self) -> Response:
        """Return figures in the format of Prometheus."""
        return Response(self._figures.text(), media_type=CONTENT_TYPE)

    async def page(self, request: Request) -> Response:
        """Return a file of the page."""
        path = request.url.path
        return Response(self._pages[path], media_type=_PAGE[path][1])

    def _refusal(self, request: Request) -> RequestError | None:
        hosts = self._settings.hosts
        host = request.headers.get("host", "").rpartition("]")
        name = host[0] + host[1] or host[2].partition(":")[0]
        if hosts and name not in hosts:
            return RequestError(
                HTTPStatus.MISDIRECTED_REQUEST, f"expected one of the hosts {', '.join(hosts)}"
            )
        token = self._settings.token
        if not token or request.url.path in _OPEN:
            return None
        given = request.headers.get("authorization", "")
        if hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            return None
        return RequestError(HTTPStatus.UNAUTHORIZED, "expected Authorization: Bearer TOKEN")

    @asynccontextmanager
    async def _work(self, request: Request) -> AsyncIterator[list[Upload]]:
        """Provide the images of a request, within the limits of the service."""
        self._memory.require(declared_size(request, self._settings))
        with self._memory.taken() as take:
            uploads = await read_uploads(request, self._settings, take)
            with self._places(len(uploads)):
                try:
                    async with asyncio.timeout(self._settings.timeout_s):
                        yield uploads
                except TimeoutError:
                    raise RequestError(
                        HTTPStatus.SERVICE_UNAVAILABLE, "the service is too busy"
                    ) from None

    @contextmanager
    def _places(self, images: int) -> Any:
        if self._in_work + images > self._settings.queue:
            raise RequestError(HTTPStatus.SERVICE_UNAVAILABLE, "too many images at once")
        self._in_work += images
        self._figures.in_work.set(self._in_work)
        try:
            yield
        finally:
            self._in_work -= images
            self._figures.in_work.set(self._in_work)

    async def _predict(self, upload: Upload) -> Prediction:
        return await self._result(await self.batcher.decode(upload))

    async def _result(self, photo: Photo) -> Prediction:
        name = printable(photo.name)
        if photo.pixels is None:
            self._figures.images.labels(_UNDECODABLE).inc()
            return Prediction(name=name, probability=None, predicted_label=None, error=photo.error)
        probability = await self.batcher.score(photo.pixels)
        self._figures.images.labels(_SCORED).inc()
        label = int(probability >= self._scorer.threshold)
        return Prediction(
            name=name,
            probability=probability,
            predicted_label=label,
            error=None,
            warning=self._scorer.warning(photo.pixels),
        )


def _require_one(errors: list[str | None]) -> None:
    """Refuse a request of which no image can be decoded."""
    found = [error for error in errors if error is not None]
    if len(found) == len(errors):
        raise RequestError(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(dict.fromkeys(found)))


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return _failure(error)


def _failure(error: RequestError) -> Response:
    headers = {}
    if error.status is HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = "1"
    if error.status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"error": error.message}, error.status, headers)
