"""Why a model cannot be inspected or fetched: one word of a closed list, and a message that ends with the remedy."""

from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """The closed list; docs/model-inspection.md explains each."""

    MODEL_NOT_FOUND = "ModelNotFound"
    REVISION_NOT_FOUND = "RevisionNotFound"
    MODEL_ACCESS_DENIED = "ModelAccessDenied"
    SOURCE_UNREACHABLE = "SourceUnreachable"
    RATE_LIMITED = "RateLimited"
    INVALID_MODEL = "InvalidModel"
    INCOMPLETE_MODEL = "IncompleteModel"
    CHECKSUM_MISMATCH = "ChecksumMismatch"
    NO_SPACE_LEFT = "NoSpaceLeft"
    CACHE_UNUSABLE = "CacheUnusable"


RETRYABLE: Final = frozenset({Reason.SOURCE_UNREACHABLE, Reason.RATE_LIMITED})
"""Reasons that may pass by themselves: the same command may succeed later."""

EXIT_CODE: Final = 1
"""Waiting does not help."""

EXIT_CODE_RETRYABLE: Final = 75
"""The same command may succeed later (EX_TEMPFAIL of sysexits.h); a Job's podFailurePolicy can tell the two apart."""


class ModelFailure(Exception):  # noqa: N818 the runtime's word for what goes wrong outside of it
    """Inspection or download cannot go on."""

    def __init__(self, reason: Reason, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retry_after_seconds = retry_after_seconds
        """How long the source asks to be left alone; None where it says nothing."""

    @property
    def exit_code(self) -> int:
        """Exit code of the command that ends so."""
        return EXIT_CODE_RETRYABLE if self.reason in RETRYABLE else EXIT_CODE
