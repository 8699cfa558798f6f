"""dlt, reading Postgres by ConnectorX."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "dlt_common"))

from dlt_jobs import Backend, main


def partitioned(key: str, connections: int) -> dict:
    return {"partition_on": key, "partition_num": connections}


main(Backend("connectorx", {"return_type": "arrow"}, partitioned))
