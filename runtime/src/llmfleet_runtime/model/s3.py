"""S3 and what speaks its API, through boto3: keys, roles and endpoint as AWS' own tools take them (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...)."""

import contextlib
import os
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

import boto3
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    CredentialRetrievalError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)

from llmfleet_runtime.model import refusals
from llmfleet_runtime.model.failure import ModelFailure
from llmfleet_runtime.model.source import Bucket
from llmfleet_runtime.model.store import Digest, File, Listing, part

_CHUNK_BYTES: Final = 1 << 20

_SLOW_DOWN: Final = frozenset({"SlowDown", "TooManyRequests", "RequestLimitExceeded", "Throttling", "ThrottlingException", "429", "503"})
_DENIED: Final = frozenset(
    {
        "AccessDenied",
        "AllAccessDisabled",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidToken",
        "InvalidIdentityToken",
        "401",
        "403",
    }
)
_NOT_HASHED_WITH_MD5: Final = frozenset({"aws:kms", "aws:kms:dsse", "aws:fsx"})
"""Encryptions under which an ETag is no MD5 of the content (S3 API reference, Object)."""


_NO_CREDENTIALS: Final = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError, TokenRetrievalError, SSOError, ProfileNotFound)
"""The library's errors for keys and roles that cannot be had."""


class S3:
    """One prefix of a bucket."""

    def __init__(self, source: Bucket) -> None:
        self._source = source
        self._endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or "https://s3.amazonaws.com"
        session = boto3.Session()
        with self._translated():
            self._anonymous = session.get_credentials() is None
            self._client: Any = session.client(
                "s3",
                region_name=session.region_name or "us-east-1",  # a bucket elsewhere is found by a redirect, which the library follows
                config=Config(
                    connect_timeout=10,
                    read_timeout=60,
                    retries={"total_max_attempts": 1},  # patience.py tries again
                    signature_version=UNSIGNED if self._anonymous else None,
                    response_checksum_validation="when_required",  # of ranges there is none
                ),
            )

    def listing(self) -> Listing:
        """Every object below the prefix; a bucket has no revision."""
        files = []
        with self._translated():
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self._source.bucket, Prefix=self._source.prefix):
                for entry in page.get("Contents", ()):
                    name = entry["Key"].removeprefix(self._source.prefix)
                    if name and not name.endswith("/"):  # the markers that consoles make for folders
                        files.append(File(name, entry["Size"], entry.get("ETag", "")))
        if not files:
            raise refusals.nothing_there(self._source, bucket_exists=True)
        return Listing(tuple(files))

    def read(self, file: File, start: int, stop: int) -> Iterator[bytes]:
        """A range of an object, of the state that was listed."""
        same = {"IfMatch": file.version} if file.version else {}
        with self._translated(file.name):
            answer = self._client.get_object(Bucket=self._source.bucket, Key=self._key(file), Range=f"bytes={start}-{stop - 1}", **same)
            with contextlib.closing(answer["Body"]) as body:
                partial = answer["ResponseMetadata"]["HTTPStatusCode"] == HTTPStatus.PARTIAL_CONTENT
                yield from part(body.iter_chunks(_CHUNK_BYTES), start if partial else 0, start, stop)

    def digest(self, file: File) -> Digest | None:
        """MD5, where the ETag is one: of an object that was uploaded in one part and not encrypted with a key of KMS or the customer."""
        tag = file.version.strip('"')
        if len(tag) != 32 or "-" in tag:
            return None
        with self._translated(file.name):
            head = self._client.head_object(Bucket=self._source.bucket, Key=self._key(file))
        if head.get("ServerSideEncryption") in _NOT_HASHED_WITH_MD5 or head.get("SSECustomerAlgorithm"):
            return None
        return Digest("md5", tag)

    def _key(self, file: File) -> str:
        return self._source.prefix + file.name

    @contextlib.contextmanager
    def _translated(self, name: str = "") -> Iterator[None]:
        try:
            yield
        except ClientError as error:
            raise self._refused(error, name) from error
        except _NO_CREDENTIALS as error:
            raise refusals.access_denied(self._source, f"the credentials cannot be used ({error})", anonymous=False) from error
        except ParamValidationError as error:
            raise refusals.nothing_there(self._source, bucket_exists=False) from error
        except BotoCoreError as error:
            raise refusals.unreachable(self._endpoint, error) from error

    def _refused(self, error: ClientError, name: str) -> ModelFailure:
        code = str(error.response.get("Error", {}).get("Code", ""))
        metadata: dict[str, Any] = dict(error.response.get("ResponseMetadata", {}))
        status = int(metadata.get("HTTPStatusCode", 0))
        if code == "NoSuchBucket":
            return refusals.nothing_there(self._source, bucket_exists=False)
        if code in ("PreconditionFailed", "412", "NoSuchKey", "404"):
            return refusals.changed(self._source, name)
        if code in _SLOW_DOWN or status == 429:
            value = metadata.get("HTTPHeaders", {}).get("retry-after", "")
            return refusals.rate_limited(self._endpoint, float(value) if value.isdigit() else None, anonymous=self._anonymous)
        if code in _DENIED or status in (401, 403):
            return refusals.access_denied(self._source, f"the store answers {code}", anonymous=self._anonymous)
        return refusals.server_trouble(self._endpoint, status, code)
