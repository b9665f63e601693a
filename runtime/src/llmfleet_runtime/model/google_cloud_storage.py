"""Google Cloud Storage through its own library: credentials as Google's tools find them, none for public buckets; STORAGE_EMULATOR_HOST is honoured."""

import base64
import contextlib
import os
from collections.abc import Iterator
from typing import Any, Final

import google.auth
import requests
from google.api_core import exceptions
from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, RefreshError
from google.cloud import storage

from llmfleet_runtime.model import refusals
from llmfleet_runtime.model.failure import ModelFailure
from llmfleet_runtime.model.source import Bucket
from llmfleet_runtime.model.store import Digest, File, Listing

_PIECE_BYTES: Final = 16 << 20
"""Asked for at once: the library gives a range only as a whole."""

_TIMEOUT_SECONDS: Final = (10.0, 60.0)
"""Of connecting, and between two pieces of an answer."""


class GoogleCloudStorage:
    """One prefix of a bucket."""

    def __init__(self, source: Bucket) -> None:
        self._source = source
        self._digests: dict[str, Digest] = {}
        self._client: Any
        self._anonymous = True
        if os.environ.get("STORAGE_EMULATOR_HOST"):
            self._client = storage.Client(project=None)
            return
        try:
            credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/devstorage.read_only"])
            self._client = storage.Client(project=None, credentials=credentials)
            self._anonymous = False
        except DefaultCredentialsError:
            self._client = storage.Client.create_anonymous_client()

    def listing(self) -> Listing:
        """Every object below the prefix; a bucket has no revision."""
        files = []
        with self._translated():
            for blob in self._client.list_blobs(self._source.bucket, prefix=self._source.prefix, timeout=_TIMEOUT_SECONDS, retry=None):
                name = blob.name.removeprefix(self._source.prefix)
                if name and not name.endswith("/"):
                    files.append(File(name, blob.size, str(blob.generation)))
                    if blob.md5_hash:
                        self._digests[name] = Digest("md5", base64.b64decode(blob.md5_hash).hex())
                    elif blob.crc32c:
                        self._digests[name] = Digest("crc32c", blob.crc32c)
        if not files:
            raise refusals.nothing_there(self._source, bucket_exists=True)
        return Listing(tuple(files))

    def read(self, file: File, start: int, stop: int) -> Iterator[bytes]:
        """A range of an object, of the generation that was listed, as it is stored."""
        blob = self._client.bucket(self._source.bucket).blob(self._source.prefix + file.name, generation=int(file.version))
        while start < stop:
            with self._translated(file.name):
                content = blob.download_as_bytes(
                    start=start, end=min(stop, start + _PIECE_BYTES) - 1, raw_download=True, checksum=None, timeout=_TIMEOUT_SECONDS, retry=None
                )
            if not content:
                return
            start += len(content)
            yield content

    def digest(self, file: File) -> Digest | None:
        """MD5; of composed objects, which parallel uploads make, CRC32C."""
        return self._digests.get(file.name)

    @contextlib.contextmanager
    def _translated(self, name: str = "") -> Iterator[None]:
        place = os.environ.get("STORAGE_EMULATOR_HOST") or "https://storage.googleapis.com"
        try:
            yield
        except exceptions.NotFound as error:
            raise refusals.changed(self._source, name) if name else refusals.nothing_there(self._source, bucket_exists=False) from error
        except (exceptions.Unauthorized, exceptions.Forbidden, RefreshError) as error:
            raise refusals.access_denied(self._source, "the store refuses", anonymous=self._anonymous) from error
        except exceptions.TooManyRequests as error:
            raise self._rate_limited(place, error) from error
        except exceptions.GoogleAPICallError as error:
            raise refusals.server_trouble(place, int(error.code or 0), error.message or "") from error
        except (requests.RequestException, GoogleAuthError, exceptions.RetryError) as error:
            raise refusals.unreachable(place, error) from error

    def _rate_limited(self, place: str, error: exceptions.TooManyRequests) -> ModelFailure:
        value = error.response.headers.get("Retry-After", "") if error.response is not None else ""
        return refusals.rate_limited(place, float(value) if value.isdigit() else None, anonymous=self._anonymous)
