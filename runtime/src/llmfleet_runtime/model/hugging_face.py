"""Hugging Face's hub, or a mirror that speaks its API (HF_ENDPOINT), through huggingface_hub.

Files are read by ranges over plain HTTP, not with hf_hub_download and not with Xet: a range goes on where a killed download was, byte by byte, which the
library's own ways do not; and a header needs no more than its range.
"""

import contextlib
from collections.abc import Iterator
from http import HTTPStatus
from typing import Final

import httpx2
import huggingface_hub
from huggingface_hub import errors
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils._http import get_session, hf_raise_for_status, parse_ratelimit_headers

from llmfleet_runtime.model import refusals
from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.source import Repository
from llmfleet_runtime.model.store import Digest, File, Listing, part

_TIMEOUT: Final = httpx2.Timeout(60.0, connect=10.0)
"""A minute without a byte is a broken connection."""

_CHUNK_BYTES: Final = 1 << 20


class HuggingFace:
    """One repository."""

    def __init__(self, source: Repository) -> None:
        self._source = source
        self._api = huggingface_hub.HfApi()
        self._commit = source.revision or "main"
        self._digests: dict[str, Digest] = {}

    def listing(self) -> Listing:
        """The files of the revision; one request."""
        with self._translated(), refusals.understood(huggingface_hub.constants.ENDPOINT, "HF_ENDPOINT", errors.HFValidationError):
            info = self._api.model_info(self._source.repository, revision=self._source.revision, files_metadata=True, timeout=30)
            commit = refusals.typed(info.sha, str) if info.sha is not None else None
            self._commit = commit or self._commit
            files = []
            for sibling in info.siblings or ():
                name, size_bytes = refusals.typed(sibling.rfilename, str), sibling.size
                if sibling.lfs is not None:
                    self._digests[name] = Digest("sha256", sibling.lfs.sha256)
                elif sibling.blob_id:
                    self._digests[name] = Digest("git", sibling.blob_id)
                if size_bytes is None:  # some mirrors leave it out
                    size_bytes = huggingface_hub.get_hf_file_metadata(self._address(name)).size or 0
                version = self._digests[name].value if name in self._digests else commit or ""
                files.append(File(name, refusals.typed(size_bytes, int), refusals.typed(version, str)))
        return Listing(tuple(files), commit)

    def read(self, file: File, start: int, stop: int) -> Iterator[bytes]:
        """A range of a file; the hub sends us on to where it lies, without our token."""
        headers = {**build_hf_headers(), "Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
        with self._translated(file.name), get_session().stream("GET", self._address(file.name), headers=headers, timeout=_TIMEOUT) as response:
            hf_raise_for_status(response)
            yield from part(response.iter_bytes(_CHUNK_BYTES), start if response.status_code == 206 else 0, start, stop)

    def digest(self, file: File) -> Digest | None:
        """SHA-256 of a large file, git's own hash of a small one."""
        return self._digests.get(file.name)

    def _address(self, name: str) -> str:
        return huggingface_hub.hf_hub_url(self._source.repository, name, revision=self._commit)

    @contextlib.contextmanager
    def _translated(self, name: str = "") -> Iterator[None]:
        endpoint = huggingface_hub.constants.ENDPOINT
        try:
            yield
        except errors.GatedRepoError as error:
            page = f"{endpoint}/{self._source.repository}"
            raise refusals.access_denied(
                self._source, "the repository is gated", anonymous=self._anonymous(), first=f"accept its conditions at {page} with the account of the token"
            ) from error
        except errors.RepositoryNotFoundError as error:
            raise self._not_found(error.response.status_code) from error
        except errors.RevisionNotFoundError as error:
            raise ModelFailure(
                Reason.REVISION_NOT_FOUND,
                f"{self._source}: the repository has no revision {self._source.revision!r}; "
                "name one of its branches, tags or commits after the @ of spec.model.source",
            ) from error
        except errors.DisabledRepoError as error:
            raise ModelFailure(Reason.MODEL_ACCESS_DENIED, f"{self._source}: its author or the hub has disabled the repository; choose another one") from error
        except errors.HFValidationError as error:
            raise ModelFailure(Reason.MODEL_NOT_FOUND, f"{self._source} is no name of a repository; write hf://owner/repository") from error
        except errors.OfflineModeIsEnabled as error:
            raise ModelFailure(
                Reason.SOURCE_UNREACHABLE, f"{endpoint} is not asked: HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set; unset it for this pod"
            ) from error
        except errors.HfHubHTTPError as error:
            raise self._refused(error, endpoint, name) from error
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise refusals.unreachable(endpoint, error) from error

    def _not_found(self, status: int) -> ModelFailure:
        if self._anonymous():
            private = "a private one looks the same to who shows no token: for that let spec.model.credentials name a Secret with a token"
        else:
            private = "a private one looks the same to an account that may not read it: then put another token into the Secret of spec.model.credentials"
        return ModelFailure(
            Reason.MODEL_NOT_FOUND, f"{self._source}: there is no such repository (the hub answers {status}); correct spec.model.source; {private}"
        )

    def _refused(self, error: errors.HfHubHTTPError, endpoint: str, name: str) -> ModelFailure:
        status = error.response.status_code
        if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            return refusals.changed(self._source, name)
        if status in (401, 403):
            return refusals.access_denied(self._source, f"the hub answers {status}", anonymous=self._anonymous())
        if status == 404:
            return ModelFailure(Reason.MODEL_NOT_FOUND, f"{self._source}: {endpoint} answers 404 for {error.response.url.path}; correct spec.model.source")
        if status == 429:
            return refusals.rate_limited(endpoint, _retry_after(error.response), anonymous=self._anonymous())
        return refusals.server_trouble(endpoint, status, error.server_message or "")

    def _anonymous(self) -> bool:
        return huggingface_hub.get_token() is None


def _retry_after(response: httpx2.Response) -> float | None:
    limits = parse_ratelimit_headers(response.headers)
    if limits is not None and limits.remaining == 0:
        return limits.reset_in_seconds
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None
