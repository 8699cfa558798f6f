"""State as one object a recipe, in S3 or in a store that compares and swaps as S3 does."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from arrowload.core.exceptions import StateError
from arrowload.core.registry import state_backends
from arrowload.io.aws import LOST_RACE, AwsAccess, answered_at, aws_errors, error_code, make_client
from arrowload.models.state_config import LEASE_TIME, LeaseTime, StateConfig
from arrowload.state.document import VERSIONS_KEPT, DocumentStateBackend, Stored

_NO_BUCKET = {"NoSuchBucket": "make the bucket, or check `bucket` and `endpoint_url`"}


class S3StateConfig(StateConfig, frozen=True, kw_only=True):
    """Keys of `state: {type: s3}`."""

    bucket: Annotated[str, msgspec.Meta(min_length=1, description="Made by you, before the first run.")]
    prefix: Annotated[str, msgspec.Meta(description="What the keys of all objects begin with.")] = "arrowload/state"
    lease: LeaseTime = LEASE_TIME
    aws: AwsAccess = AwsAccess()


class S3Store:
    """Objects `<prefix>/<recipe>.json`; older versions are kept under `<prefix>/history/<recipe>/`.

    Args:
        client: Of boto3.
        bucket: Where they are.
        prefix: What their keys begin with.
    """

    def __init__(self, client: Any, bucket: str, prefix: str) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix.strip("/")

    def location(self, name: str) -> str:
        """The object's URL."""
        return f"s3://{self._bucket}/{self._key(name)}"

    def read(self, name: str, *, for_update: bool = False) -> Stored | None:
        """See `DocumentStore.read`; the ETag is the token."""
        from botocore.exceptions import ClientError

        with aws_errors(self.location(name), _NO_BUCKET):
            try:
                found = self._client.get_object(Bucket=self._bucket, Key=self._key(name))
            except ClientError as exc:
                if error_code(exc) != "NoSuchKey":
                    raise
                return None
            idle = answered_at(found) - found["LastModified"]
            return Stored(found["Body"].read(), found["ETag"], max(0.0, idle.total_seconds()))

    def write(self, name: str, data: bytes, *, over: str | None) -> bool:
        """See `DocumentStore.write`.

        Raises:
            StateError: The store writes whatever the condition.
        """
        condition = {"IfNoneMatch": "*"} if over is None else {"IfMatch": over}
        if not self._put(self._key(name), data, condition):
            return False
        # Some stores do not know of conditions and write all the same; the first object of a recipe finds out.
        if over is None and self._put(self._key(name), data, condition):
            with aws_errors(self.location(name)):
                self._client.delete_object(Bucket=self._bucket, Key=self._key(name))
            raise StateError(
                f"`{self.location(name)}`: the store wrote over an object that it was told not to",
                context={"bucket": self._bucket},
                hint="keep state in a store with conditional writes, or in DynamoDB: `state: {type: dynamodb}`",
            )
        return True

    def keep(self, name: str, version: int, data: bytes) -> None:
        """An object of its own under `history`."""
        self._put(f"{self._history(name)}{version:08d}.json", data, {"IfNoneMatch": "*"})
        for key in self._kept_keys(name)[:-VERSIONS_KEPT]:
            with aws_errors(f"s3://{self._bucket}/{key}"):
                self._client.delete_object(Bucket=self._bucket, Key=key)

    def kept(self, name: str) -> dict[int, bytes]:
        """See `DocumentStore.kept`."""
        found = {}
        for key in self._kept_keys(name):
            with aws_errors(f"s3://{self._bucket}/{key}"):
                body = self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()
            found[int(key.rpartition("/")[2].removesuffix(".json"))] = body
        return found

    def _put(self, key: str, data: bytes, condition: dict[str, str]) -> bool:
        from botocore.exceptions import ClientError

        with aws_errors(f"s3://{self._bucket}/{key}", _NO_BUCKET):
            try:
                self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=data, ContentType="application/json", **condition
                )
            except ClientError as exc:
                if error_code(exc) not in LOST_RACE:
                    raise
                return False
        return True

    def _kept_keys(self, name: str) -> list[str]:
        with aws_errors(self.location(name), _NO_BUCKET):
            listed = self._client.list_objects_v2(Bucket=self._bucket, Prefix=self._history(name))
        return sorted(item["Key"] for item in listed.get("Contents", ()))

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}.json".lstrip("/")

    def _history(self, name: str) -> str:
        return f"{self._prefix}/history/{name}/".lstrip("/")


@state_backends.register("s3", config=S3StateConfig)
def create_s3_state_backend(config: S3StateConfig, _root: str = ".") -> DocumentStateBackend:
    """One object a recipe, in a bucket."""
    store = S3Store(make_client("s3", config.aws), config.bucket, config.prefix)
    return DocumentStateBackend(store, config.lease)
