"""Postgres databases, by COPY in binary, both ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from arrowload.connectors.postgres.config import PostgresDestinationConfig, PostgresSourceConfig
from arrowload.connectors.registry import register_destination, register_source

if TYPE_CHECKING:
    from arrowload.connectors.postgres.destination import PostgresDestination
    from arrowload.connectors.postgres.session import Session
    from arrowload.connectors.postgres.source import PostgresSource


@register_source("postgres", config=PostgresSourceConfig)
def create_postgres_source(config: PostgresSourceConfig, connection: Session | None = None) -> PostgresSource:
    """A table or query of a Postgres database."""
    from arrowload.connectors.postgres.source import PostgresSource

    return PostgresSource(config, connection)


@register_destination("postgres", config=PostgresDestinationConfig)
def create_postgres_destination(config: PostgresDestinationConfig) -> PostgresDestination:
    """A table of a Postgres database."""
    from arrowload.connectors.postgres.destination import PostgresDestination

    return PostgresDestination(config)
