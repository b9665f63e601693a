"""The command that starts vLLM with our middleware inside: what is added to its arguments and to its environment."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from llmfleet_runtime import arguments
from llmfleet_runtime.guard import Guard
from llmfleet_runtime.settings import ENVIRONMENT_API_KEY

MIDDLEWARE: Final = "llmfleet_runtime.middleware.Middleware"
"""The class that vLLM imports and puts round its API."""

ENVIRONMENT_MIDDLEWARE: Final = "LLMFLEET_MIDDLEWARE"
"""What the middleware is told: a JSON object of the path of the board and of the guard's rules."""

KEEP_ALIVE: Final = {"VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "75"}
"""How long vLLM leaves a connection open that rests, in seconds, unless the pod says otherwise. Its own 5 s lose requests: gateways and clients keep theirs for
longer (nginx 60 s, Go 90 s) and send just when vLLM closes. And where its event loop was held up for so long, vLLM closes a connection whose next request has
come already: uvloop runs the timers that are due before it reads (libuv, uv_run)."""


def engine_command(
    command: Sequence[str], environment: Mapping[str, str], board: Path, *, max_request_bytes: int, admin_token: str
) -> tuple[list[str], dict[str, str]]:
    """Return arguments and environment of the engine.

    The middleware is the last argument, so it is the outermost one: a user's own is run inside of it, for requests that may come in. vLLM's worker processes
    inherit the environment and do not read what is added. Our archive comes first on their path, where it hides nothing: it holds one package.

    Args:
        command: program and arguments of the engine as the pod has them.
        environment: the launcher's own.
        board: path of the board, in a directory that the engine can write.
        max_request_bytes: longest body of a request.
        admin_token: what the launcher will show to load and unload adapters.

    """
    keys = arguments.api_keys(command)
    if keys is None:  # As vLLM: any --api-key stands in front of the variable.
        keys = [key] if (key := environment.get(ENVIRONMENT_API_KEY)) else []
    path = [str(_archive()), *filter(None, [environment.get("PYTHONPATH")])]
    added = {
        "PYTHONPATH": os.pathsep.join(path),  # No empty part: Python would take it for the working directory.
        ENVIRONMENT_MIDDLEWARE: json.dumps({"board": str(board), **Guard.of(keys, admin_token, max_request_bytes).document()}),
    }
    return [*command, "--middleware", MIDDLEWARE], {**KEEP_ALIVE, **environment, **added}


def _archive() -> Path:
    """The file (or the folder, in development) from which this package was imported."""
    return Path(__file__).parents[1]
