"""ModelScope's hub through modelscope-hub, the client of the hub alone (one megabyte; the package `modelscope` would bring the whole framework).

MODELSCOPE_API_TOKEN and MODELSCOPE_ENDPOINT are honoured as the library does.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Final

import requests
from modelscope_hub import errors
from modelscope_hub.api import HubApi
from modelscope_hub.config import HubConfig

from llmfleet_runtime.model import refusals
from llmfleet_runtime.model.failure import ModelFailure, Reason
from llmfleet_runtime.model.source import Repository
from llmfleet_runtime.model.store import Digest, File, Listing, part

_CHUNK_BYTES: Final = 1 << 20

_DEFAULT_REVISION: Final = "master"


class ModelScope:
    """One repository."""

    def __init__(self, source: Repository) -> None:
        self._source = source
        self._revision = source.revision or _DEFAULT_REVISION
        scratch = Path(tempfile.gettempdir()) / "modelscope"  # HOME may not exist
        token = os.environ.get("MODELSCOPE_API_TOKEN", "").strip()
        self._api = HubApi(HubConfig(cache_dir=scratch, config_dir=scratch, token=token))
        self._anonymous = not token
        self._digests: dict[str, Digest] = {}

    def listing(self) -> Listing:
        """The files of the revision. Which commit that is the hub does not say: only a revision that was named is told."""
        files = []
        answered = (errors.HubError, requests.RequestException)  # some of which are ValueErrors too
        with self._translated(), refusals.understood(self._api.legacy.endpoint, "MODELSCOPE_ENDPOINT", *answered):
            for entry in self._api.list_repo_files(self._source.repository, "model", revision=self._revision):
                if entry.type != "tree":
                    name, sha256 = refusals.typed(entry.path, str), refusals.typed(entry.sha256 or "", str)
                    if sha256:
                        self._digests[name] = Digest("sha256", sha256)
                    files.append(File(name, entry.size or 0, sha256))
        return Listing(tuple(files), self._source.revision)

    def read(self, file: File, start: int, stop: int) -> Iterator[bytes]:
        """A range of a file."""
        with self._translated(file.name):
            answer = self._api.legacy.download_stream(
                self._source.repository, "model", file.name, self._revision, headers={"Range": f"bytes={start}-{stop - 1}", "Accept-Encoding": "identity"}
            )
            with contextlib.closing(answer):
                yield from part(answer.iter_content(_CHUNK_BYTES), start if answer.status_code == 206 else 0, start, stop)

    def digest(self, file: File) -> Digest | None:
        """SHA-256 of every file."""
        return self._digests.get(file.name)

    @contextlib.contextmanager
    def _translated(self, name: str = "") -> Iterator[None]:
        endpoint = self._api.legacy.endpoint
        try:
            yield
        except errors.RateLimitError as error:
            raise refusals.rate_limited(endpoint, error.retry_after, anonymous=self._anonymous) from error
        except (errors.AuthenticationError, errors.PermissionDeniedError) as error:
            page = f"{endpoint}/models/{self._source.repository}"
            raise refusals.access_denied(self._source, f"the hub answers {error.status_code}", anonymous=self._anonymous, first=f"see {page}") from error
        except (errors.NotExistError, errors.InvalidParameter) as error:
            raise self._not_found(error) from error
        except errors.APIError as error:
            if error.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                raise refusals.changed(self._source, name) from error
            raise refusals.server_trouble(endpoint, error.status_code or 0, error.message) from error
        except (errors.HubError, requests.RequestException) as error:
            raise refusals.unreachable(endpoint, error) from error

    def _not_found(self, error: errors.APIError) -> ModelFailure:
        """The hub's 404 does not say whether the repository or the revision is missing."""
        with contextlib.suppress(errors.HubError, requests.RequestException):
            known = [str(entry.get("Revision")) for entry in self._api.list_repo_revisions(self._source.repository, "model")]
            if self._revision not in known:
                return ModelFailure(
                    Reason.REVISION_NOT_FOUND,
                    f"{self._source}: the repository has no revision {self._revision!r}; "
                    f"it has {', '.join(known[:8]) or 'none'}: name one after the @ of spec.model.source",
                )
        private = (
            ""
            if not self._anonymous
            else "; a private one looks the same to who shows no token: for that let spec.model.credentials name a Secret with a token"
        )
        return ModelFailure(Reason.MODEL_NOT_FOUND, f"{self._source}: there is no such repository ({error.message}); correct spec.model.source{private}")
