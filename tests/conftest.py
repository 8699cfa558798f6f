"""Fixtures for all tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from tests.faults.catalogue import SUITE_TESTS
from tests.moto_server import running_moto
from tests.postgres_server import running_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.moto_server import MotoServer
    from tests.postgres_server import PostgresDatabase, PostgresServer


# `make test` tries fewer examples than `make test-all`, which names the other profile. Slow is not wrong: tests share
# the machine.
_patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", _patient, max_examples=50)
settings.register_profile("thorough", _patient, max_examples=500)
settings.load_profile("quick")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the conformance suites, and have each result carry the numbers of its rows of the catalogue."""
    for item in items:
        name = getattr(item, "originalname", item.name)
        if name in SUITE_TESTS and "conformance" in item.path.parts:
            item.add_marker(pytest.mark.fault(*SUITE_TESTS[name]))
        for marker in item.iter_markers("fault"):
            item.user_properties += [("fault", number) for number in marker.args]


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A Postgres server of this test process; each worker of pytest-xdist starts its own, in under a second."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres(postgres_server: PostgresServer) -> Iterator[PostgresDatabase]:
    """A fresh database."""
    database = postgres_server.create_database()
    yield database
    database.drop()


@pytest.fixture
def empty_store() -> Iterator[None]:
    """The tables of `type: memory` are those of the test, and gone after it."""
    from arrowload.connectors.memory.store import store

    store.clear()
    yield
    store.clear()


@pytest.fixture(scope="session")
def moto() -> Iterator[MotoServer]:
    """A server that answers as S3 and DynamoDB do."""
    with running_moto() as server:
        yield server
