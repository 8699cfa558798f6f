"""Objects below one prefix of a bucket: listed, read, written, and written only if nobody else did."""

from __future__ import annotations

import base64
import functools
import hashlib
import random
import time
from typing import TYPE_CHECKING, Any, Final

import msgspec

from arrowload.core.exceptions import ConnectorError, OutcomeUnknownError, RecipeError, TransientConnectorError
from arrowload.io.aws import AwsAccess, aws_errors, error_code, make_client

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from _typeshed import ReadableBuffer as Buffer

SCHEME: Final = "s3://"
_MIB: Final = 1024**2
# S3 takes 10 000 pieces of an upload, each of at least 5 MiB but the last.
_PIECE_BYTES: Final = 8 * _MIB
_PIECES_OF_ONE_SIZE: Final = 1_000
_COPY_IN_ONE_STEP: Final = 4 * 1024**3  # S3 takes 5 GiB
_DELETE_AT_ONCE: Final = 1_000
_TRIES: Final = 4
_COMMIT_TRIES: Final = 2  # each of which boto3 makes several of
_FIRST_WAIT_S: Final = 0.2
_HINTS: Final = {"NoSuchBucket": "make the bucket, or check `path` and `aws.endpoint_url`"}
_LOST: Final = frozenset({"PreconditionFailed", "412"})
_IN_CONFLICT: Final = frozenset({"ConditionalRequestConflict", "409"})
_GONE: Final = frozenset({"NoSuchKey", "NotFound", "404"})


class S3Object(msgspec.Struct, frozen=True):
    """An object as it was when it was listed.

    Attributes:
        name: Its key below the prefix.
        size: In bytes.
        mtime_ns: When it was written, nanoseconds since 1970 in UTC.
        etag: Of its content.
    """

    name: str
    size: int
    mtime_ns: int
    etag: str


def is_s3(path: str) -> bool:
    """Whether `path` is a URL of S3."""
    return path.startswith(SCHEME)


def split_url(url: str) -> tuple[str, str]:
    """Bucket and key of `s3://bucket/key`.

    Raises:
        RecipeError: `url` names no bucket.
    """
    bucket, _, key = url.removeprefix(SCHEME).partition("/")
    if not is_s3(url) or not bucket:
        raise RecipeError(f"`{url}` names no bucket", hint="write it as s3://bucket/prefix")
    return bucket, key


@functools.lru_cache(maxsize=16)
def s3_client(access: AwsAccess) -> Any:
    """A client for all threads of this process; one takes a tenth of a second to make."""
    return make_client("s3", access)


class S3Prefix:
    """What lies below `s3://bucket/prefix`; names are keys without the prefix.

    Args:
        url: With or without a slash at its end.
        access: Where S3 is and who asks.
    """

    def __init__(self, url: str, access: AwsAccess) -> None:
        self.bucket, key = split_url(url)
        self._prefix = f"{key.strip('/')}/" if key.strip("/") else ""
        self._access = access

    @property
    def url(self) -> str:
        """Without a slash at its end."""
        return f"{SCHEME}{self.bucket}/{self._prefix}".rstrip("/")

    @property
    def client(self) -> Any:
        """Of boto3; made when it is first needed."""
        return s3_client(self._access)

    def url_of(self, name: str) -> str:
        """For people, and for readers."""
        return f"{SCHEME}{self.bucket}/{self._prefix}{name}"

    def read(self, name: str) -> bytes | None:
        """The whole object, or None when there is none of that name."""
        return read_range(self._access, self.bucket, self._prefix + name)

    def find(self, name: str) -> S3Object | None:
        """The object of that name."""
        from botocore.exceptions import ClientError

        with aws_errors(self.url_of(name), _HINTS):
            try:
                found = self.client.head_object(Bucket=self.bucket, Key=self._prefix + name)
            except ClientError as exc:
                if error_code(exc) not in _GONE:
                    raise
                return None
        return S3Object(name, found["ContentLength"], _ns(found["LastModified"]), found["ETag"])

    def objects(self, below: str = "", *, after: str | None = None) -> Iterator[S3Object]:
        """Every object whose name begins with `below`, by name; those behind `after` when that is given."""
        for page in self._pages(below, after=after):
            for item in page.get("Contents", ()):
                yield self._listed(item)

    def list_folder(self, folder: str) -> tuple[list[S3Object], list[str]]:
        """Objects directly below `folder`, and the names of the folders there, whose objects are not looked at."""
        below = f"{folder}/" if folder else ""
        objects, folders = [], []
        for page in self._pages(below, delimiter="/"):
            objects += [self._listed(item) for item in page.get("Contents", ())]
            folders += [item["Prefix"][len(self._prefix) :].rstrip("/") for item in page.get("CommonPrefixes", ())]
        return objects, folders

    def _pages(self, below: str, *, after: str | None = None, delimiter: str | None = None) -> Iterator[Any]:
        options = {"StartAfter": self._prefix + after} if after is not None else {}
        options |= {"Delimiter": delimiter} if delimiter is not None else {}
        with aws_errors(self.url_of(below), _HINTS):
            pages = self.client.get_paginator("list_objects_v2")
            yield from pages.paginate(Bucket=self.bucket, Prefix=self._prefix + below, **options)

    def _listed(self, item: Mapping[str, Any]) -> S3Object:
        return S3Object(item["Key"][len(self._prefix) :], item["Size"], _ns(item["LastModified"]), item["ETag"])

    # ---------------------------------------------------------------- writing

    def write(self, name: str, data: bytes) -> None:
        """Put an object of that name, in the place of any that is there."""
        with aws_errors(self.url_of(name), _HINTS):
            self.client.put_object(Bucket=self.bucket, Key=self._prefix + name, Body=data, ContentMD5=_md5(data))

    def write_new(self, name: str, data: bytes) -> bool:
        """Put an object, if there is none of that name; the atomic step that everything rests on.

        An answer that was lost is not guessed: the object is read back, and is ours when its content is. So `data` must
        be such that nobody else writes the same.

        Returns:
            False when there is another object of that name.

        Raises:
            OutcomeUnknownError: Neither the answer nor the object came; the request may still be under way.
        """
        failure: Exception | None = None
        for attempt in range(_COMMIT_TRIES):
            time.sleep(random.uniform(0.5, 1) * _FIRST_WAIT_S * 2**attempt if attempt else 0)  # noqa: S311 - no secret
            failure = self._try_new(name, data)
            if failure is None:
                return True
            try:
                found = self.read(name)
            except ConnectorError as exc:
                self._raise_refusal(name, failure)
                failure = exc
                break
            if found is not None:
                return found == data
            self._raise_refusal(name, failure)
        raise OutcomeUnknownError(
            f"`{self.url_of(name)}` was sent, and no answer came: {failure}",
            context={"resource": self.url_of(name)},
            hint="the next run finds out what became of it",
        ) from failure

    def _try_new(self, name: str, data: bytes) -> Exception | None:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            self.client.put_object(
                Bucket=self.bucket, Key=self._prefix + name, Body=data, ContentMD5=_md5(data), IfNoneMatch="*"
            )
        except (ClientError, BotoCoreError) as exc:
            failure: Exception = exc
            return failure
        return None

    def _raise_refusal(self, name: str, failure: Exception) -> None:
        """Raise `failure` if the store has surely written nothing: it said no, and to the first request."""
        about = (getattr(failure, "response", None) or {}).get("ResponseMetadata", {})
        if 400 <= about.get("HTTPStatusCode", 0) < 500 and not about.get("RetryAttempts", 0):
            if error_code(failure) in _LOST | _IN_CONFLICT:
                return
            with aws_errors(self.url_of(name), _HINTS):
                raise failure

    def copy(self, source: str, target: str) -> bool:
        """Have the store copy an object; False when there is none of the name `source`."""
        from botocore.exceptions import ClientError

        found = self.find(source)
        if found is None:
            return False
        place = {"Bucket": self.bucket, "Key": self._prefix + source}
        with aws_errors(self.url_of(target), _HINTS):
            try:
                if found.size <= _COPY_IN_ONE_STEP:
                    self.client.copy_object(Bucket=self.bucket, Key=self._prefix + target, CopySource=place)
                else:
                    self.client.copy(place, self.bucket, self._prefix + target)
            except ClientError as exc:
                if error_code(exc) not in _GONE:
                    raise
                return False
        return True

    def remove(self, names: Sequence[str]) -> None:
        """Delete objects; those that are gone already are as good."""
        for start in range(0, len(names), _DELETE_AT_ONCE):
            keys = [{"Key": self._prefix + name} for name in names[start : start + _DELETE_AT_ONCE]]
            with aws_errors(self.url, _HINTS):
                answer = self.client.delete_objects(Bucket=self.bucket, Delete={"Objects": keys, "Quiet": True})
            if failed := answer.get("Errors"):
                first = failed[0]
                raise TransientConnectorError(
                    f"`{SCHEME}{self.bucket}/{first.get('Key')}` could not be deleted: {first.get('Code')}",
                    context={"objects": len(failed), "code": first.get("Code")},
                    hint="look at what the credentials are allowed",
                )

    def open_upload(self, name: str) -> S3Upload:
        """Write an object piece by piece; there is none of that name until it is closed."""
        return S3Upload(self.client, self.bucket, self._prefix + name)

    def uploads(self, below: str) -> list[tuple[str, str]]:
        """Name and id of every upload that was begun and not ended, whose name begins with `below`."""
        found = []
        with aws_errors(self.url_of(below), _HINTS):
            pages = self.client.get_paginator("list_multipart_uploads")
            for page in pages.paginate(Bucket=self.bucket, Prefix=self._prefix + below):
                found += [(item["Key"][len(self._prefix) :], item["UploadId"]) for item in page.get("Uploads", ())]
        return found

    def end_upload(self, name: str, upload_id: str) -> None:
        """Give up an upload and what was sent of it; one that is gone already is as good."""
        _end_upload(self.client, self.bucket, self._prefix + name, upload_id)


def _end_upload(client: Any, bucket: str, key: str, upload_id: str) -> None:
    from botocore.exceptions import ClientError

    with aws_errors(f"{SCHEME}{bucket}/{key}", _HINTS):
        try:
            client.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload_id)
        except ClientError as exc:
            if error_code(exc) not in _GONE | {"NoSuchUpload"}:
                raise


def _ns(moment: Any) -> int:
    return int(moment.timestamp() * 1_000) * 1_000_000


def _md5(data: Buffer) -> str:
    # Every store checks it, which cannot be said of the newer checksums.
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


class S3Upload:
    """A new object, sent in pieces, each with a checksum; a small one is sent at once when it is closed."""

    def __init__(self, client: Any, bucket: str, key: str) -> None:
        self._client = client
        self._place = {"Bucket": bucket, "Key": key}
        self._url = f"{SCHEME}{bucket}/{key}"
        self._held = bytearray()
        self._sent = 0
        self._upload_id: str | None = None
        self._pieces: list[dict[str, Any]] = []

    def write(self, data: memoryview) -> None:
        """Take all of `data`; sends what fills a piece."""
        self._held += data
        # So that a large object does not run out of numbers.
        size = _PIECE_BYTES * (1 + len(self._pieces) // _PIECES_OF_ONE_SIZE)
        while len(self._held) >= size:
            self._send(bytes(memoryview(self._held)[:size]))
            del self._held[:size]

    def _send(self, piece: bytes) -> None:
        with aws_errors(self._url, _HINTS):
            if self._upload_id is None:
                self._upload_id = self._client.create_multipart_upload(**self._place)["UploadId"]
            number = len(self._pieces) + 1
            answer = self._client.upload_part(
                **self._place, UploadId=self._upload_id, PartNumber=number, Body=piece, ContentMD5=_md5(piece)
            )
        self._pieces.append({"PartNumber": number, "ETag": answer["ETag"]})
        self._sent += len(piece)

    def close(self) -> None:
        """Send the rest, and return when the object is there, of the size that was written.

        Raises:
            TransientConnectorError: It has another size.
        """
        from botocore.exceptions import ClientError

        rest = bytes(self._held)
        self._held = bytearray()
        if self._upload_id is None:
            with aws_errors(self._url, _HINTS):
                self._client.put_object(**self._place, Body=rest, ContentMD5=_md5(rest))
            return
        if rest:
            self._send(rest)
        with aws_errors(self._url, _HINTS):
            try:
                self._client.complete_multipart_upload(
                    **self._place, UploadId=self._upload_id, MultipartUpload={"Parts": self._pieces}
                )
            except ClientError as exc:
                # The first request may have done it, and its answer was lost; then there is the object.
                if error_code(exc) != "NoSuchUpload":
                    raise
            self._upload_id = None
            size = self._client.head_object(**self._place)["ContentLength"]
        if size != self._sent:
            raise TransientConnectorError(
                f"`{self._url}` has {size} bytes, and {self._sent} were sent", context={"resource": self._url}
            )

    def abandon(self) -> None:
        """Have the store forget what was sent."""
        self._held = bytearray()
        if self._upload_id is not None:
            upload_id, self._upload_id = self._upload_id, None
            _end_upload(self._client, self._place["Bucket"], self._place["Key"], upload_id)


# ---------------------------------------------------------------- reading


def read_range(
    access: AwsAccess, bucket: str, key: str, *, start: int = 0, size: int | None = None, etag: str | None = None
) -> bytes | None:
    """Bytes of an object, tried again when the connection breaks off; None when there is no such object.

    Args:
        access: Where S3 is and who asks.
        bucket: Where the object is.
        key: Of the object.
        start: The first byte.
        size: How many bytes; None for all. There must be as many.
        etag: Of the object as it was listed.

    Raises:
        TransientConnectorError: It is another object by now, or the store does not answer.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    url = f"{SCHEME}{bucket}/{key}"
    options = {"Range": f"bytes={start}-{start + size - 1}"} if size is not None else {}
    options |= {"IfMatch": etag} if etag is not None else {}
    for attempt in range(_TRIES):
        with aws_errors(url, _HINTS):
            try:
                answer = s3_client(access).get_object(Bucket=bucket, Key=key, **options)
            except ClientError as exc:
                if error_code(exc) in _GONE | _LOST:
                    return None
                raise
            # boto3 tries requests again, but not the reading of an answer.
            try:
                data: bytes = answer["Body"].read()
            except BotoCoreError:
                if attempt == _TRIES - 1:
                    raise
                time.sleep(_FIRST_WAIT_S * 2**attempt)
                continue
        if size is None or len(data) == size:
            return data
    raise TransientConnectorError(f"`{url}`: fewer bytes came than there are", context={"resource": url})
