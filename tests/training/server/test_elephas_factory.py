"""Tests for glasses_spark.training.server.elephas_factory."""

from __future__ import annotations

import socket
from typing import Any

import numpy as np
import pytest
from elephas.parameter.factory import ClientServerFactory
from elephas.spark_model import AsynchronousSparkModel
from elephas.utils.rdd_utils import to_simple_rdd
from pyspark.sql import SparkSession

from glasses_spark import GrpcFactory
from glasses_spark.runtime.machine import LOOPBACK
from glasses_spark.training.server.certificates import make_credentials
from glasses_spark.training.server.elephas_factory import SERVICE, GrpcClient, GrpcServer
from glasses_spark.training.server.protocol import ProtocolError
from glasses_spark.training.server.rpc import Channel
from tests.training.tiny import separable, tiny_model


@pytest.fixture
def factory() -> GrpcFactory:
    return GrpcFactory()


def describe(model: Any) -> dict[str, Any]:
    """Return Elephas' description of a model."""
    return {"model": model.to_json(), "weights": model.get_weights()}


def start(factory: GrpcFactory, mode: str = "asynchronous") -> tuple[GrpcServer, GrpcClient, Any]:
    model = tiny_model()
    server = factory.create_server(describe(model), 0, mode)
    client = factory.create_client(0)
    server.start()
    return server, client, model


def test_elephas_finds_the_factory_by_its_type() -> None:
    assert isinstance(ClientServerFactory.get_factory("grpc"), GrpcFactory)


def test_each_delta_is_subtracted_once(factory: GrpcFactory) -> None:
    server, client, model = start(factory)
    ones = [np.ones_like(weight) for weight in model.get_weights()]
    try:
        before = client.get_parameters()
        client.update_parameters(ones)
        after_one = client.get_parameters()
        client.update_parameters(ones)
        after_two = client.get_parameters()
    finally:
        server.stop()
    assert all(np.array_equal(a - 1, b) for a, b in zip(before, after_one, strict=True))
    assert all(np.array_equal(a - 1, b) for a, b in zip(after_one, after_two, strict=True))


def test_a_delta_that_arrives_twice_is_subtracted_once() -> None:
    server_end, worker_end = make_credentials()
    server = GrpcServer(describe(tiny_model()), 0, "asynchronous", credentials=server_end)
    server.start()
    client, layout = GrpcClient(server, worker_end), server.layout
    try:
        before = client.get_parameters()
        with Channel(SERVICE, LOOPBACK, server.port, worker_end, layout) as channel:
            for _ in range(2):  # a client repeats a call after a lost response
                header = {"client": "some", "number": 1}
                channel.call("Push", header, np.ones(layout.size, layout.dtype), deadline=10)
        after = client.get_parameters()
    finally:
        server.stop()
    assert all(np.array_equal(a - 1, b) for a, b in zip(before, after, strict=True))


def test_a_delta_of_other_shapes_is_refused(factory: GrpcFactory) -> None:
    server, client, model = start(factory)
    try:
        with pytest.raises(ProtocolError, match="delta: expected the shapes"):
            client.update_parameters(model.get_weights()[:1])
    finally:
        server.stop()


@pytest.mark.slow
@pytest.mark.rotated
def test_a_client_with_other_credentials_cannot_connect(
    factory: GrpcFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("glasses_spark.training.server.rpc.CONNECT_DEADLINE_S", 2.0)
    server, client, model = start(factory)
    try:
        stranger = GrpcClient(server, make_credentials()[1])
        with pytest.raises(Exception, match=r"no connection to|lost the connection to"):
            stranger.update_parameters(model.get_weights())
        assert all(
            np.array_equal(a, b)
            for a, b in zip(client.get_parameters(), model.get_weights(), strict=True)
        )
    finally:
        server.stop()


@pytest.mark.slow
@pytest.mark.rotated
@pytest.mark.parametrize("mode", ["asynchronous", "hogwild"])
@pytest.mark.filterwarnings("ignore:Deprecated in 3.0.0:FutureWarning")
def test_elephas_trains_its_model_through_the_server(spark: SparkSession, mode: str) -> None:
    x, y = separable(80)
    model = tiny_model(optimizer="sgd")
    before = model.get_weights()
    elephas = AsynchronousSparkModel(
        model, num_workers=2, mode=mode, frequency="epoch", parameter_server_mode="grpc", port=0
    )
    rdd = to_simple_rdd(spark.sparkContext, x.astype(np.float32), y[:, 0])
    elephas.fit(rdd, epochs=2, batch_size=8, verbose=0, validation_split=0.0)
    after = elephas.master_network.get_weights()
    assert any((a != b).any() for a, b in zip(before, after, strict=True))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, elephas.parameter_server.port), timeout=5)


def test_nothing_listens_after_stop(factory: GrpcFactory) -> None:
    server, _, _ = start(factory)
    server.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, server.port), timeout=5)
