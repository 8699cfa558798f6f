"""Clients of AWS and of what speaks its protocols: how they are made, and what their errors mean."""

from __future__ import annotations

import datetime as dt
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec

from arrowload.core.exceptions import (
    ConnectorError,
    CredentialsError,
    DataError,
    MissingExtraError,
    TransientConnectorError,
)
from arrowload.core.secret import Secret

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_ATTEMPTS: Final = 6
_CONNECT_TIMEOUT_S: Final = 10
_READ_TIMEOUT_S: Final = 60

# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, and the common errors of DynamoDB's reference.
_BY_CODE: Final[dict[str, type[ConnectorError]]] = {
    "AccessDenied": CredentialsError,
    "AccessDeniedException": CredentialsError,
    "AllAccessDisabled": CredentialsError,
    "AuthFailure": CredentialsError,
    "ExpiredToken": CredentialsError,
    "ExpiredTokenException": CredentialsError,
    "IncompleteSignature": CredentialsError,
    "InvalidAccessKeyId": CredentialsError,
    "InvalidClientTokenId": CredentialsError,
    "InvalidToken": CredentialsError,
    "MissingAuthenticationToken": CredentialsError,
    "SignatureDoesNotMatch": CredentialsError,
    "UnrecognizedClientException": CredentialsError,
    "403": CredentialsError,
    "InternalError": TransientConnectorError,
    "InternalServerError": TransientConnectorError,
    "LimitExceededException": TransientConnectorError,
    "OperationAborted": TransientConnectorError,
    "ProvisionedThroughputExceededException": TransientConnectorError,
    "RequestLimitExceeded": TransientConnectorError,
    "RequestTimeout": TransientConnectorError,
    "RequestTimeTooSkewed": TransientConnectorError,
    "ServiceUnavailable": TransientConnectorError,
    "SlowDown": TransientConnectorError,
    "ThrottlingException": TransientConnectorError,
    "BadDigest": TransientConnectorError,
    "EntityTooLarge": DataError,
}
# What stands for a lost race: another request was first, is under way, or removed what was to be replaced.
LOST_RACE: Final = frozenset(
    {"PreconditionFailed", "ConditionalRequestConflict", "ConditionalCheckFailedException", "NoSuchKey", "412", "409"}
)
_HINTS: Final[dict[type[ConnectorError], str]] = {
    CredentialsError: "look at the credentials, and at what they are allowed",
    TransientConnectorError: "the service may be busy or out of reach; try again later",
}


class AwsAccess(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Keys of `aws:`: where a service is and who asks; what the recipe leaves out, boto3 finds as it always does."""

    region: Annotated[str | None, msgspec.Meta(description="AWS region.")] = None
    profile: Annotated[str | None, msgspec.Meta(description="Profile of the AWS configuration files.")] = None
    endpoint_url: Annotated[
        str | None, msgspec.Meta(description="URL of the service, for those that only speak as AWS does.")
    ] = None
    access_key_id: Annotated[Secret | None, msgspec.Meta(description="With `secret_access_key`.")] = None
    secret_access_key: Annotated[Secret | None, msgspec.Meta(description="With `access_key_id`.")] = None
    session_token: Annotated[Secret | None, msgspec.Meta(description="Of temporary credentials.")] = None


def make_client(service: str, access: AwsAccess) -> Any:
    """A boto3 client, safe for threads, that tries a request again a few times by itself.

    Raises:
        MissingExtraError: boto3 is not installed.
        ConnectorError: There is no such profile, or no region is known.
    """
    try:
        import boto3
        import botocore.config
        import botocore.exceptions
    except ModuleNotFoundError as exc:
        raise MissingExtraError(
            f"`{service}` needs the package `{exc.name}`, which is not installed", hint="pip install 'arrowload[s3]'"
        ) from exc
    config = botocore.config.Config(
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        # Older stores refuse the trailing checksums that newer SDKs send unasked.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        session = boto3.Session(
            profile_name=access.profile,
            region_name=access.region,
            aws_access_key_id=_revealed(access.access_key_id),
            aws_secret_access_key=_revealed(access.secret_access_key),
            aws_session_token=_revealed(access.session_token),
        )
        return session.client(service, endpoint_url=access.endpoint_url, config=config)
    except (botocore.exceptions.BotoCoreError, ValueError) as exc:
        raise ConnectorError(f"{service}: {exc}", hint="look at `profile`, `region` and `endpoint_url`") from exc


@contextmanager
def aws_errors(what: str, hints: Mapping[str, str] | None = None) -> Iterator[None]:
    """Turn boto3's errors in the block into ours.

    Args:
        what: What was asked for: `s3://bucket/key`.
        hints: What to do next, by the service's code.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as exc:
        code, status = error_code(exc), exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        kind = _BY_CODE.get(code, TransientConnectorError if status >= 500 else ConnectorError)
        message = exc.response.get("Error", {}).get("Message") or code
        raise kind(
            f"`{what}`: {message} ({code})",
            context={"code": code, "status": status, "resource": what},
            hint=(hints or {}).get(code, _HINTS.get(kind)),
        ) from exc
    except BotoCoreError as exc:
        name = type(exc).__name__
        kind = CredentialsError if "Credential" in name or "Token" in name else TransientConnectorError
        raise kind(f"`{what}`: {exc}", context={"resource": what, "error": name}, hint=_HINTS[kind]) from exc


def error_code(exc: Any) -> str:
    """The code of a `ClientError`, such as `NoSuchKey`."""
    return str(exc.response.get("Error", {}).get("Code", ""))


def answered_at(response: Mapping[str, Any]) -> dt.datetime:
    """When the service answered, by its own clock; by ours where it does not tell."""
    date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return parsedate_to_datetime(date).astimezone(dt.UTC) if date else dt.datetime.now(dt.UTC)


def _revealed(secret: Secret | None) -> str | None:
    return secret.reveal() if secret is not None else None
