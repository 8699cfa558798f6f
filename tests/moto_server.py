"""A server that answers as S3 and DynamoDB do, conditions included: moto's, gone when the test run is."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from arrowload.core.secret import Secret
from arrowload.io.aws import AwsAccess, make_client

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION = "eu-central-1"
KEY_ID, KEY = "AKIAARROWLOADTESTS", "arrowload-tests-secret-key"


@dataclass(frozen=True)
class MotoServer:
    """A running server.

    Attributes:
        url: Where it listens.
    """

    url: str

    @property
    def access(self) -> AwsAccess:
        """As `aws:` of a recipe, decoded."""
        return AwsAccess(
            region=REGION, endpoint_url=self.url, access_key_id=Secret(KEY_ID), secret_access_key=Secret(KEY)
        )

    @property
    def keys(self) -> dict[str, str]:
        """As `aws:` of a recipe."""
        return {"region": REGION, "endpoint_url": self.url, "access_key_id": KEY_ID, "secret_access_key": KEY}

    def client(self, service: str) -> Any:
        """Of boto3."""
        return make_client(service, self.access)

    def make_bucket(self) -> str:
        """A bucket that nobody else knows of."""
        name = f"bucket-{uuid.uuid4().hex}"
        self.client("s3").create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
        return name


@contextlib.contextmanager
def running_moto() -> Iterator[MotoServer]:
    """Start a server in a process of its own; it ends with the block, or with us."""
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.moto_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            if process.stdout is None:
                raise AssertionError("the server has no output")
            url = process.stdout.readline().strip()
            if not url:
                raise AssertionError(f"moto did not start; it ended with {process.wait()}")
            yield MotoServer(url)
        finally:
            process.kill()


def _serve() -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    application, turn = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def one_at_a_time(environ: Any, start_response: Any) -> Any:
        # S3 looks at a condition and writes in one step, moto in two: of many at once, two could win.
        with turn:
            return application(environ, start_response)

    server = make_server("127.0.0.1", 0, one_at_a_time, threaded=True, request_handler=MotoRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    host, port = server.server_address[:2]
    print(f"http://{host!s}:{port}", flush=True)
    sys.stdin.read()
    server.shutdown()


if __name__ == "__main__":
    _serve()
