"""Money that moves between accounts while they are read in parts: no read sees it twice, or on its way."""

from __future__ import annotations

import random
import threading
from typing import TYPE_CHECKING

import pytest

import arrowload
from arrowload.core.lazy import compute as pc
from arrowload.io.postgres import PostgresSession

if TYPE_CHECKING:
    from tests.postgres_server import PostgresDatabase

ACCOUNTS, START, WRITERS = 20_000, 1_000, 4


def transfer(dsn: str, seed: int, stop: threading.Event, done: list[int]) -> None:
    """Move random sums between random accounts, in transactions, until told to stop."""
    chance = random.Random(seed)
    session = PostgresSession(dsn, lambda exc: exc)
    try:
        while not stop.is_set():
            one, other = sorted(chance.sample(range(ACCOUNTS), 2))
            amount = chance.randint(-50, 50)
            session.run("BEGIN")
            session.run(f"UPDATE accounts SET balance = balance - {amount} WHERE id = {one}")
            session.run(f"UPDATE accounts SET balance = balance + {amount} WHERE id = {other}")
            session.run("COMMIT")
            done[0] += 1
    finally:
        session.close()


@pytest.mark.parametrize("reads", [12, pytest.param(200, marks=pytest.mark.slow)])
def test_every_read_is_of_one_moment(postgres: PostgresDatabase, reads: int) -> None:
    """Four connections read ranges of blocks, all in one exported snapshot."""
    postgres.execute(
        "CREATE TABLE accounts (id int PRIMARY KEY, balance bigint, padding text) WITH (fillfactor = 60);"
        f" INSERT INTO accounts SELECT n, {START}, repeat('x', 100) FROM generate_series(0, {ACCOUNTS - 1}) AS n"
    )
    recipe = {
        "name": "accounts",
        "source": {"type": "postgres", "table": "accounts", **postgres.keys},
        "runtime": {"parallelism": 4},
    }
    assert len(arrowload.plan(recipe).splits) == 4
    stop, done = threading.Event(), [0]
    writers = [
        threading.Thread(target=transfer, args=(postgres.dsn, seed, stop, done), daemon=True) for seed in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    try:
        balances = []
        for _ in range(reads):
            rows = arrowload.read(recipe)
            assert rows.num_rows == ACCOUNTS
            assert pc.count_distinct(rows["id"]).as_py() == ACCOUNTS
            balances.append(pc.sum(rows["balance"]).as_py())
    finally:
        stop.set()
        for writer in writers:
            writer.join()

    assert set(balances) == {ACCOUNTS * START}
    assert done[0] > reads
