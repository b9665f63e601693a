"""What the API server refuses, sorted by what a reconcile does about it."""

from collections.abc import Mapping
from typing import Any, Final

_ILL_TYPED: Final = ("failed to create typed patch object", "failed to convert new object")
"""How the message of a 500 begins when a server-side apply does not fit the schema (seen on 1.36: no reason, no details)."""


class ApiError(Exception):
    """An answer of the API server that is not a success, or no answer at all (`status` 0).

    `retry_after` is the server's own wish in seconds, 0 where it has none. Of the Status' details: `causes` are the reasons and `fields` the fields of the
    causes, `about` is the plural of the kind that it speaks of.
    """

    def __init__(
        self,
        status: int,
        reason: str,
        message: str,
        retry_after: float = 0.0,
        *,
        causes: tuple[str, ...] = (),
        fields: tuple[str, ...] = (),
        about: str = "",
    ) -> None:
        super().__init__(f"{status} {reason}: {message}" if status else f"{reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after
        self.causes = causes
        self.fields = fields
        self.about = about

    @property
    def not_found(self) -> bool:
        """The object, or its namespace, does not exist."""
        return self.status == 404

    @property
    def conflict(self) -> bool:
        """Someone wrote in between, or the object exists already, or is another one than the uid says: read again.

        An apply with a uid is answered with 409 where the object is gone, and with 422 on `metadata.uid` where another has its name (seen on 1.36).
        """
        return self.status == 409 or (self.status == 422 and "metadata.uid" in self.fields)

    @property
    def invalid(self) -> bool:
        """What was sent can never be accepted as it is: waiting does not help, a changed specification does."""
        return (self.status in (400, 422) and not self.conflict) or (self.status == 500 and self.message.startswith(_ILL_TYPED))

    @property
    def forbidden(self) -> bool:
        """RBAC, admission or a quota refuses; what was sent is well-formed."""
        return self.status == 403

    @property
    def namespace_terminating(self) -> bool:
        """The namespace is being deleted or is gone: nothing more can be created in it, and nothing needs to be."""
        if self.status == 403:
            return "NamespaceTerminating" in self.causes or "because it is being terminated" in self.message
        return self.status == 404 and self.about == "namespaces"

    @property
    def retryable(self) -> bool:
        """The same request may succeed later without anybody changing anything."""
        return not self.invalid and (self.conflict or self.status in (0, 401, 408, 429) or self.status >= 500)


def from_status(status: int, body: Any, retry_after: str | None) -> ApiError:
    """ApiError of an HTTP answer: `body` is the Status object, or text where something between us and the API server answered."""
    fields = body if isinstance(body, Mapping) else {}
    details = fields.get("details") or {}
    causes = details.get("causes") or ()
    seconds = float(retry_after) if retry_after and retry_after.isdigit() else float(details.get("retryAfterSeconds") or 0)
    return ApiError(
        status=status,
        reason=fields.get("reason") or f"HTTP{status}",
        message=fields.get("message") or str(body)[:500],
        retry_after=seconds,
        causes=tuple(cause.get("reason", "") for cause in causes),
        fields=tuple(cause.get("field", "") for cause in causes),
        about=details.get("kind", ""),
    )
