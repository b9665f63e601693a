"""What the middleware answers itself, as data, in the shape of vLLM's own errors (vllm/entrypoints/serve/engine/protocol.py)."""

import json
from dataclasses import dataclass
from typing import Final

Headers = list[tuple[bytes, bytes]]
"""As ASGI has them: names in lower case."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One error; clients of the OpenAI API read it as they read vLLM's."""

    status: int
    kind: str
    """`type` of the error object."""
    message: str
    header: tuple[bytes, bytes] | None = None
    closes: bool = False
    """Whether the connection leads nowhere any more."""

    def headers(self) -> Headers:
        """Everything but what belongs to the connection and to the one request."""
        known = [(b"content-type", b"application/json"), (b"content-length", str(len(self.body())).encode())]
        return known if self.header is None else [*known, self.header]

    def body(self) -> bytes:
        """JSON."""
        return json.dumps({"error": {"message": self.message, "type": self.kind, "param": None, "code": self.status}}).encode()


NO_KEY: Final = Answer(
    401,
    "Unauthorized",
    "this path needs one of the API keys of the service: send the header Authorization: Bearer KEY",
    (b"www-authenticate", b"Bearer"),
)
"""A key is set and the request shows none of them."""

ADMINISTRATION: Final = Answer(
    403,
    "Forbidden",
    "this path changes the engine, which only its operator does: for adapters change spec.adapters.items of the LLMService, for the rest its other fields",
)
"""A path of `guard.ADMINISTRATION` without the launcher's token, whatever key is shown."""

STOPPING: Final = Answer(
    503,
    "ServiceUnavailable",
    "this replica is stopping and takes no new request; the request was not begun: send it again",
    (b"retry-after", b"1"),
    closes=True,
)
"""The board says so. Long before, the replica has left the Service's endpoints: whoever tries again reaches another one."""

ENGINE_DEAD: Final = Answer(
    503,
    "ServiceUnavailable",
    "the engine of this replica has died; nothing of the answer was sent: send the request again",
    (b"retry-after", b"5"),
    closes=True,
)
"""In the place of vLLM's 500, on which clients do not try again. Five seconds: until the dead replica is out of the Service's endpoints."""


def too_large(limit_bytes: int) -> Answer:
    """Say that the body is longer than that."""
    return Answer(
        413,
        "RequestEntityTooLarge",
        f"the body of the request has more than {limit_bytes} bytes, the limit that engine.maxRequestSize of the LLMService sets: send less, or raise it",
    )


def failed(request_id: str) -> Answer:
    """Say that vLLM failed in a way it has no answer for."""
    return Answer(500, "InternalServerError", f"the request {request_id} failed inside of vLLM; its log has the reason")
