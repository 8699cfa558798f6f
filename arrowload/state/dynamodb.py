"""State as one item a recipe, in a DynamoDB table."""

from __future__ import annotations

import datetime as dt
import secrets
from typing import Annotated, Any, Final

import msgspec

from arrowload.core.exceptions import StateError
from arrowload.core.registry import state_backends
from arrowload.io.aws import LOST_RACE, AwsAccess, answered_at, aws_errors, error_code, make_client
from arrowload.models.state_config import LEASE_TIME, LeaseTime, StateConfig
from arrowload.state.document import VERSIONS_KEPT, DocumentStateBackend, Stored

_KEY: Final = {"recipe": "S", "entry": "S"}
_CURRENT: Final = "current"
_NO_TABLE: Final = "ResourceNotFoundException"
_MADE_MEANWHILE: Final = "ResourceInUseException"
# Of an item, its keys and attribute names included; what we add takes less than the difference.
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
_MOST_BYTES: Final = 395 * 1024


class DynamoDBStateConfig(StateConfig, frozen=True, kw_only=True):
    """Keys of `state: {type: dynamodb}`."""

    table: Annotated[str, msgspec.Meta(description="Made, paid by request, when it is not there.")] = "arrowload_state"
    lease: LeaseTime = LEASE_TIME
    aws: AwsAccess = AwsAccess()


class DynamoDBStore:
    """Items with the key (`recipe`, `entry`): `current`, and one for each older version.

    Args:
        client: Of boto3.
        table: Where they are; its keys are the texts `recipe` (hash) and `entry` (range).
    """

    def __init__(self, client: Any, table: str) -> None:
        self._client = client
        self._table = table
        self._ahead = dt.timedelta()  # of the service's clock before ours

    def location(self, name: str) -> str:
        """The item, as a URL of our own."""
        return f"dynamodb://{self._table}/{name}"

    def read(self, name: str, *, for_update: bool = False) -> Stored | None:
        """See `DocumentStore.read`."""
        from botocore.exceptions import ClientError

        with aws_errors(self.location(name)):
            try:
                found = self._client.get_item(TableName=self._table, Key=_key(name, _CURRENT), ConsistentRead=True)
            except ClientError as exc:
                if error_code(exc) != _NO_TABLE:
                    raise
                return None
        now = answered_at(found)
        self._ahead = now - dt.datetime.now(dt.UTC)
        item = found.get("Item")
        if item is None:
            return None
        written = dt.datetime.fromtimestamp(int(item["written_ms"]["N"]) / 1000, dt.UTC)
        return Stored(item["document"]["B"], item["token"]["S"], max(0.0, (now - written).total_seconds()))

    def write(self, name: str, data: bytes, *, over: str | None) -> bool:
        """See `DocumentStore.write`."""
        condition: dict[str, Any] = {"ConditionExpression": "attribute_not_exists(recipe)"}
        if over is not None:
            condition = {"ConditionExpression": "#t = :t", "ExpressionAttributeNames": {"#t": "token"}}
            condition["ExpressionAttributeValues"] = {":t": {"S": over}}
        written = dt.datetime.now(dt.UTC) + self._ahead
        attributes = {
            "document": {"B": data},
            "token": {"S": secrets.token_hex(16)},
            "written_ms": {"N": str(int(written.timestamp() * 1000))},
        }
        return self._put(name, _CURRENT, attributes, condition)

    def keep(self, name: str, version: int, data: bytes) -> None:
        """An item of its own."""
        once = {"ConditionExpression": "attribute_not_exists(recipe)"}
        self._put(name, f"version {version:08d}", {"document": {"B": data}}, once)
        for entry in sorted(self._kept_items(name))[:-VERSIONS_KEPT]:
            with aws_errors(self.location(name)):
                self._client.delete_item(TableName=self._table, Key=_key(name, entry))

    def kept(self, name: str) -> dict[int, bytes]:
        """See `DocumentStore.kept`."""
        return {int(entry.removeprefix("version ")): data for entry, data in self._kept_items(name).items()}

    def _kept_items(self, name: str) -> dict[str, bytes]:
        from botocore.exceptions import ClientError

        with aws_errors(self.location(name)):
            pages = self._client.get_paginator("query").paginate(
                TableName=self._table,
                ConsistentRead=True,
                KeyConditionExpression="recipe = :r AND begins_with(entry, :v)",
                ExpressionAttributeValues={":r": {"S": name}, ":v": {"S": "version "}},
            )
            try:
                return {item["entry"]["S"]: item["document"]["B"] for page in pages for item in page["Items"]}
            except ClientError as exc:
                if error_code(exc) != _NO_TABLE:
                    raise
                return {}

    def _put(self, name: str, entry: str, attributes: dict[str, Any], condition: dict[str, Any]) -> bool:
        from botocore.exceptions import ClientError

        if len(attributes["document"]["B"]) > _MOST_BYTES:
            raise StateError(
                f"the state of `{name}` is larger than an item of DynamoDB can be",
                context={"recipe": name, "bytes": len(attributes["document"]["B"]), "at_most": _MOST_BYTES},
                hint="keep it elsewhere: `state: {type: s3}`",
            )
        request = {"TableName": self._table, "Item": {**_key(name, entry), **attributes}, **condition}
        with aws_errors(self.location(name)):
            try:
                try:
                    self._client.put_item(**request)
                except ClientError as exc:
                    if error_code(exc) != _NO_TABLE:
                        raise
                    self._make_table()
                    self._client.put_item(**request)
            except ClientError as exc:
                if error_code(exc) not in LOST_RACE:
                    raise
                return False
        return True

    def _make_table(self) -> None:
        from botocore.exceptions import ClientError

        try:
            self._client.create_table(
                TableName=self._table,
                BillingMode="PAY_PER_REQUEST",
                AttributeDefinitions=[{"AttributeName": name, "AttributeType": kind} for name, kind in _KEY.items()],
                KeySchema=[
                    {"AttributeName": name, "KeyType": kind} for name, kind in zip(_KEY, ("HASH", "RANGE"), strict=True)
                ],
            )
        except ClientError as exc:
            if error_code(exc) != _MADE_MEANWHILE:
                raise
        self._client.get_waiter("table_exists").wait(TableName=self._table, WaiterConfig={"Delay": 1})


def _key(name: str, entry: str) -> dict[str, Any]:
    return {"recipe": {"S": name}, "entry": {"S": entry}}


@state_backends.register("dynamodb", config=DynamoDBStateConfig)
def create_dynamodb_state_backend(config: DynamoDBStateConfig, _root: str = ".") -> DocumentStateBackend:
    """One item a recipe, in a table of DynamoDB."""
    return DocumentStateBackend(DynamoDBStore(make_client("dynamodb", config.aws), config.table), config.lease)
