"""dlt, reading Postgres by SQLAlchemy and psycopg2, its rows turned into Arrow."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "dlt_common"))

from dlt_jobs import Backend, main

main(Backend("pyarrow", {}))
