"""dlt, reading Postgres by ConnectorX as a stream of record batches."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "dlt_common"))

from dlt_jobs import CHUNK_ROWS, Backend, main


def partitioned(key: str, connections: int) -> dict:
    return {"partition_on": key, "partition_num": connections}


main(Backend("connectorx", {"return_type": "arrow_stream", "batch_size": CHUNK_ROWS}, partitioned))
