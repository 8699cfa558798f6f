"""Fixtures for all tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.moto_server import running_moto
from tests.postgres_server import running_postgres

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.moto_server import MotoServer
    from tests.postgres_server import PostgresDatabase, PostgresServer


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


@pytest.fixture(scope="session")
def moto() -> Iterator[MotoServer]:
    """A server that answers as S3 and DynamoDB do."""
    with running_moto() as server:
        yield server
