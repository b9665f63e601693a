"""What a user may read: the API server decides, by a SubjectAccessReview, as for its own resources.

The attributes are those that every aggregated server derives from such a path (k8s.io/apiserver RequestInfo): of
`/apis/custom.metrics.k8s.io/v1beta2/namespaces/NS/llmservices.llmfleet.dev/NAME/demand` the resource is `llmservices.llmfleet.dev` and the metric its
subresource. The HPA's built-in role (system:controller:horizontal-pod-autoscaler: get and list on `*` in custom.metrics.k8s.io) allows it; a role for people
names `llmservices.llmfleet.dev/demand`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Protocol

from llmfleet.metrics_api.front_proxy import User

ALLOWED_SECONDS: Final = 10.0
"""How long a permission is believed: the default of Kubernetes' own delegating servers (DelegatingAuthorizationOptions)."""

DENIED_SECONDS: Final = 2.0
"""How long a refusal is believed: whoever has just been given the role should not wait."""

_MAX_DECISIONS: Final = 10_000
"""Most decisions that are remembered: one HPA per service asks for one metric."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What is read."""

    group: str
    version: str
    resource: str
    subresource: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The API server's answer."""

    allowed: bool
    reason: str


class Reviews(Protocol):
    """Creates SubjectAccessReviews: `llmfleet.kube.client.Client`."""

    async def create(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        """POST the manifest, answer what was stored."""


class Authorizer:
    """Asks the API server and remembers its answers for seconds; a failure to ask is the caller's error, and is not remembered."""

    def __init__(self, reviews: Reviews, clock: Callable[[], float] = monotonic) -> None:
        self._reviews = reviews
        self._clock = clock
        self._decisions: dict[tuple[User, Resource], tuple[float, Decision]] = {}

    async def decide(self, user: User, resource: Resource) -> Decision:
        """Whether the user may get the resource; raises what the client raises."""
        known = self._decisions.get((user, resource))
        if known is not None and known[0] > self._clock():
            return known[1]
        status = (await self._reviews.create(_review(user, resource))).get("status") or {}
        decision = Decision(allowed=status.get("allowed") is True and status.get("denied") is not True, reason=str(status.get("reason") or ""))
        self._remember(user, resource, decision)
        return decision

    def _remember(self, user: User, resource: Resource, decision: Decision) -> None:
        now = self._clock()
        if len(self._decisions) >= _MAX_DECISIONS:
            self._decisions = {question: known for question, known in self._decisions.items() if known[0] > now}
        if len(self._decisions) < _MAX_DECISIONS:
            self._decisions[user, resource] = (now + (ALLOWED_SECONDS if decision.allowed else DENIED_SECONDS), decision)


def _review(user: User, resource: Resource) -> dict[str, Any]:
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "metadata": {},
        "spec": {
            "user": user.name,
            "groups": list(user.groups),
            "extra": {key: list(values) for key, values in user.extra},
            "resourceAttributes": {
                "verb": "get",
                "group": resource.group,
                "version": resource.version,
                "resource": resource.resource,
                "subresource": resource.subresource,
                "namespace": resource.namespace,
                "name": resource.name,
            },
        },
    }
