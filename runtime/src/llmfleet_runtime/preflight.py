"""What is looked at before the engine is started: each failure in under a second and in one sentence, where vLLM finds it after minutes or not at all.

A check refuses only what vLLM could not start with. What cannot be known truly here is left to the failure table: a driver too old for the image's CUDA, say,
may be helped by a compatibility package in the image, and only CUDA itself knows.
"""

import errno
import logging
import re
import socket
import threading
from collections.abc import Callable
from typing import Final

from llmfleet_runtime import arguments, shared_memory
from llmfleet_runtime.failure_patterns import Reason
from llmfleet_runtime.failures import Failure, remedy_of
from llmfleet_runtime.preflight_accelerators import accelerators_are_as_asked
from llmfleet_runtime.preflight_model import model_is_whole
from llmfleet_runtime.preflight_refusal import Refusal
from llmfleet_runtime.preflight_volumes import directories_are_writable, shared_memory_suffices
from llmfleet_runtime.settings import Settings

PREFLIGHT_SECONDS: Final = 10.0
"""Longest time for all checks. A driver or a file server that does not answer by then is left to the engine and to its start timeout."""

_SHOWABLE_KEY: Final = re.compile(r"[!-~](?:[ -~]*[!-~])?")
"""What a header can carry unchanged (RFC 9110, 5.5) and vLLM compares as it came: ASCII, without blanks and line breaks at its ends."""

_log = logging.getLogger(__name__)


def leftovers_are_removed(settings: Settings) -> Refusal | None:
    """No check: the shared memory of the container before this one must not be counted by those that follow."""
    if settings.shared_memory is not None and (removed := shared_memory.clean(settings.shared_memory)):
        _log.info("removed %d shared memory segments of an earlier engine", len(removed))
    return None


def engine_port_is_free(settings: Settings) -> Refusal | None:
    """Whether vLLM can have its port; another container of the pod, or of the node with hostNetwork, may have it."""
    host = arguments.value(settings.command, "--host") or ""
    try:
        with socket.create_server((host, settings.engine_port)):
            return None
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            return None
        return Refusal(Reason.PORT_IN_USE, f"the engine's port {settings.engine_port} is taken by another process")


def api_key_can_be_shown(settings: Settings) -> Refusal | None:
    """Whether anybody can show the key that vLLM asks for: with none but empty ones vLLM serves whoever comes, with a line break in one it is never ready."""
    given = arguments.api_keys(settings.command)
    remedy = "write the key alone into the Secret that spec.access.apiKeys names: kubectl create secret generic --from-literal adds no line break, echo does"
    if any(key.startswith("-") for key in given or ()):
        return Refusal(
            Reason.INVALID_ARGUMENT, "an API key begins with a dash: vLLM takes it for an option", "give spec.access.apiKeys a Secret with another key"
        )
    key = arguments.api_key(settings.command) if given is not None else settings.api_key
    if (given is None and key is None) or (key is not None and _SHOWABLE_KEY.fullmatch(key)):
        return None
    what = "is empty" if key is None else "has a blank or a line break at an end, or a character that no HTTP header can carry"
    return Refusal(Reason.INVALID_ARGUMENT, f"the API key {what}", remedy)


Check = Callable[[Settings], Refusal | None]

CHECKS: Final[tuple[Check, ...]] = (
    leftovers_are_removed,
    engine_port_is_free,
    api_key_can_be_shown,
    directories_are_writable,
    model_is_whole,
    shared_memory_suffices,
    accelerators_are_as_asked,  # Last: it may wait some seconds for the memory of the container before.
)
"""In order; the first that refuses is told."""


def preflight(settings: Settings, checks: tuple[Check, ...] = CHECKS) -> Failure | None:
    """Why the engine need not be started; None where nothing speaks against it. A check that fails itself is no reason."""
    for check in checks:
        try:
            refusal = check(settings)
        except Exception:
            _log.exception("The check %s failed itself; going on", check.__name__)
            continue
        if refusal is not None:
            return Failure(refusal.reason, refusal.message, refusal.remedy or remedy_of(refusal.reason), 1)
    return None


def in_thread(settings: Settings, done: Callable[[Failure | None], None], checks: tuple[Check, ...] = CHECKS) -> None:
    """Run the checks in a thread of their own that nobody has to wait for: a call into a driver or a file system may never return."""
    threading.Thread(target=lambda: done(preflight(settings, checks)), daemon=True, name="preflight").start()
