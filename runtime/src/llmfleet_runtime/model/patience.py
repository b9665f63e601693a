"""How often and how long something that may pass by itself is tried again: one policy for every source."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from llmfleet_runtime.model.failure import RETRYABLE, ModelFailure

QUESTION_WAITS_SECONDS: Final = (1.0, 2.0)
"""Between attempts at what is asked once: somebody may be waiting for the answer, and whoever runs us asks again."""

DOWNLOAD_WAITS_SECONDS: Final = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Between attempts at a file that brought nothing: half a minute in all. A Job tries again later, and goes on where this one was."""

LONGEST_WAIT_SECONDS: Final = 600.0
"""A source that asks for more patience than this is left to whoever runs us."""

_log = logging.getLogger(__name__)
_T = TypeVar("_T")


class Patience:
    """The attempts at one thing."""

    def __init__(self, waits_seconds: Sequence[float] = QUESTION_WAITS_SECONDS, sleep: Callable[[float], object] = time.sleep) -> None:
        self._waits_seconds = waits_seconds
        self._sleep = sleep
        self._attempts = 0

    def progressed(self) -> None:
        """Something was got: the count begins anew."""
        self._attempts = 0

    def wait(self, failure: ModelFailure) -> None:
        """Wait before another attempt; raise the failure where there is to be none."""
        if failure.reason not in RETRYABLE or self._attempts >= len(self._waits_seconds) or (failure.retry_after_seconds or 0) > LONGEST_WAIT_SECONDS:
            raise failure
        seconds = self._waits_seconds[self._attempts] if failure.retry_after_seconds is None else failure.retry_after_seconds
        self._attempts += 1
        _log.warning("%s: %s; again in %.0f s (%d of %d)", failure.reason, failure.message, seconds, self._attempts, len(self._waits_seconds))
        self._sleep(seconds)

    def get(self, attempt: Callable[[], _T]) -> _T:
        """The result of the first attempt that succeeds."""
        while True:
            try:
                return attempt()
            except ModelFailure as failure:
                self.wait(failure)
