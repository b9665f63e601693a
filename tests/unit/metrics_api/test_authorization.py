from collections.abc import Mapping
from typing import Any

import pytest

from llmfleet.kube.errors import ApiError
from llmfleet.metrics_api.authorization import ALLOWED_SECONDS, DENIED_SECONDS, Authorizer, Resource
from llmfleet.metrics_api.front_proxy import User

HPA = User("hpa", ("system:serviceaccounts",))
DEMAND = Resource("custom.metrics.k8s.io", "v1beta2", "llmservices.llmfleet.dev", "demand", "team", "chat")


class Reviews:
    """Answers reviews with a given status, and counts them."""

    def __init__(self, status: object) -> None:
        self.status = status
        self.asked = 0
        self.fails = False

    async def create(self, manifest: Mapping[str, Any]) -> dict[str, Any]:
        self.asked += 1
        if self.fails:
            raise ApiError(500, "InternalError", "etcd is away")
        return {**manifest, "status": self.status}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("status", "seconds"), [({"allowed": True}, ALLOWED_SECONDS), ({"allowed": False}, DENIED_SECONDS)])
async def test_a_decision_is_remembered_for_seconds(status: Mapping[str, bool], seconds: float) -> None:
    reviews, clock = Reviews(status), Clock()
    authorizer = Authorizer(reviews, clock)
    first = await authorizer.decide(HPA, DEMAND)
    assert first.allowed is status["allowed"]
    clock.now = seconds - 0.1
    assert await authorizer.decide(HPA, DEMAND) == first
    assert reviews.asked == 1
    clock.now = seconds
    await authorizer.decide(HPA, DEMAND)
    assert reviews.asked == 2


async def test_each_user_and_resource_is_decided_by_itself() -> None:
    reviews = Reviews({"allowed": True})
    authorizer = Authorizer(reviews, Clock())
    other = Resource("custom.metrics.k8s.io", "v1beta2", "llmservices.llmfleet.dev", "demand", "other", "chat")
    for user, resource in ((HPA, DEMAND), (User("hpa", ()), DEMAND), (HPA, other)):
        await authorizer.decide(user, resource)
    assert reviews.asked == 3


@pytest.mark.parametrize("status", [{}, None, {"allowed": "true"}, {"allowed": True, "denied": True}])
async def test_what_is_not_plainly_allowed_is_denied(status: object) -> None:
    assert not (await Authorizer(Reviews(status), Clock()).decide(HPA, DEMAND)).allowed


async def test_a_failure_to_ask_is_not_remembered() -> None:
    reviews = Reviews({"allowed": True})
    authorizer = Authorizer(reviews, Clock())
    reviews.fails = True
    with pytest.raises(ApiError):
        await authorizer.decide(HPA, DEMAND)
    reviews.fails = False
    assert (await authorizer.decide(HPA, DEMAND)).allowed
