"""Run a command beside a fresh Postgres server: `python -m tests.with_postgres cargo test …`.

The command finds the server's connection string in `ARROWLOAD_TEST_CONNINFO`.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.postgres_server import running_postgres

if __name__ == "__main__":
    with running_postgres() as server:
        done = subprocess.run(sys.argv[1:], env=os.environ | {"ARROWLOAD_TEST_CONNINFO": server.dsn()}, check=False)
    sys.exit(done.returncode)
