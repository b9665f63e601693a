"""One service against an API server at the edge: which writes, in which order, and when to look again."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestServer

from llmfleet.api.accelerator import built_in_profiles
from llmfleet.kube.client import Client
from llmfleet.kube.kinds import DEPLOYMENT, HORIZONTAL_POD_AUTOSCALER, LLMSERVICE, SERVICE
from llmfleet.kube.objects import Key
from llmfleet.kube.store import Store
from llmfleet.names import Reason
from llmfleet.planning.violation import Violation
from llmfleet.reconcile.apply import Applier
from llmfleet.reconcile.desired import Installation, Refused
from llmfleet.reconcile.inputs import Gatherer
from llmfleet.reconcile.jobs import Jobs
from llmfleet.reconcile.models import Models
from llmfleet.reconcile.reconciler import PATIENCE, SETTLE_SECONDS, UNWATCHED_SECONDS, Again, Reconciler
from llmfleet.reconcile.rollouts import Rollouts
from llmfleet.resources.blueprint import Platform
from llmfleet.scrape.download import Progress
from llmfleet.scrape.fleet import Measured
from llmfleet.scrape.report import Report
from llmfleet.server.watching import WATCHED
from tests.unit.reconcile.api_server import ApiServer

KEY = ("ns", "x")
SOURCE = "pvc://models/tiny"
BEGAN = 1_800_000_000.0
WORKLOAD = "/apis/apps/v1/namespaces/ns/deployments/x-engine"
CLIENT_SERVICE = "/api/v1/namespaces/ns/services/x"
CHILDREN = ["PATCH deployments/x-engine", "PATCH serviceaccounts/x-engine", "PATCH services/x", "PATCH poddisruptionbudgets/x-engine"]


class House:
    """The loop with its store, and the server that it writes to."""

    def __init__(self, client: Client, api: ApiServer) -> None:
        self.api, self.store, self.now = api, Store(WATCHED), 0.0
        self.memory: Measured | None = None
        self.reported: dict[str, Report] = {}
        self.downloaded: Progress | None = None
        self.reconciler = self.fresh(client)

    def fresh(self, client: Client) -> Reconciler:
        installation = Installation(Platform("runtime:1", 3), built_in_profiles(), "cpu")
        gatherer = Gatherer(client, self.store, self)
        return Reconciler(
            client=client,
            store=self.store,
            gatherer=gatherer,
            applier=Applier(client, self.store),
            models=Models(self.store, gatherer, Jobs(client, self.store), clock=lambda: BEGAN + self.now),
            rollouts=Rollouts(gatherer, clock=lambda: BEGAN + self.now),
            installation=lambda: installation,
            clock=lambda: self.now,
        )

    def demand(self, _: Key) -> None:
        return None

    def measured(self, _: Key) -> Measured | None:
        return self.memory

    def reports(self, _: Key) -> dict[str, Report]:
        return self.reported

    def progress(self, _: str) -> Progress | None:
        return self.downloaded

    def wants(self, status: dict[str, Any] | None = None, **spec: Any) -> None:
        """Write the service; its model is known unless the test has another status."""
        metadata = {"name": "x", "namespace": "ns", "uid": "owner", "generation": 1, "resourceVersion": str(self.api.revision + 100)}
        wanted = {"model": {"source": SOURCE}, **spec}
        known = {"model": {"facts": {"source": wanted["model"]["source"]}}}
        service = {"apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMService", "metadata": metadata, "spec": wanted, "status": status or known}
        self.api.objects[LLMSERVICE.path("ns", "x")] = service
        self.store.upsert(LLMSERVICE, service)

    async def look(self) -> Again | None:
        self.api.writes.clear()
        self.api.bodies.clear()
        return await self.reconciler.reconcile(KEY)


@pytest.fixture
async def house() -> AsyncIterator[House]:
    api = ApiServer()
    async with TestServer(api.application()) as server, aiohttp.ClientSession() as session:
        built = House(Client(lambda: (session, str(server.make_url("/")))), api)
        built.wants()
        yield built


async def test_the_workload_comes_first_and_status_waits_for_the_burst(house: House) -> None:
    again = await house.look()
    assert house.api.writes == CHILDREN
    assert again == Again(SETTLE_SECONDS, failed=False)


async def test_one_status_at_the_end_of_the_burst_and_then_nothing(house: House) -> None:
    await house.look()
    house.now = SETTLE_SECONDS / 2
    assert await house.look() == Again(SETTLE_SECONDS / 2, failed=False)
    assert house.api.writes == []
    house.now = SETTLE_SECONDS
    await house.look()
    assert house.api.writes == ["PATCH llmservices/x/status"]
    house.now = 3 * SETTLE_SECONDS
    assert await house.look() is None
    assert house.api.writes == []


async def test_an_error_that_does_not_pass_is_told_after_some_patience(house: House) -> None:
    house.api.refuse("deployments/x-engine", 500, "failed calling webhook")
    for _ in range(PATIENCE - 1):
        assert await house.look() == Again(0.0, failed=True)
        assert house.api.writes == ["PATCH deployments/x-engine"]
    assert await house.look() == Again(0.0, failed=True)
    assert house.api.writes == ["PATCH deployments/x-engine", "PATCH llmservices/x/status"]
    conditions = {item["type"]: item for item in house.api.bodies[-1]["status"]["conditions"]}
    assert conditions["Ready"]["message"] == "failed calling webhook; trying again"
    assert conditions["Stalled"]["status"] == "False"


@pytest.mark.parametrize(("status", "message"), [(500, "failed to create typed patch object (x): bad"), (422, "spec is wrong")])
async def test_a_refused_workload_stops_everything_else_and_is_said(house: House, status: int, message: str) -> None:
    house.api.refuse("deployments/x-engine", status, message)
    assert await house.look() is None
    assert house.api.writes == ["PATCH deployments/x-engine", "PATCH llmservices/x/status"]
    conditions = {item["type"]: item for item in house.api.bodies[-1]["status"]["conditions"]}
    assert message in conditions["Accepted"]["message"]
    assert conditions["Stalled"]["status"] == "True"


async def test_a_refused_sibling_does_not_stop_the_others(house: House) -> None:
    house.api.refuse("serviceaccounts/x-engine", 422, "no")
    await house.look()
    assert house.api.writes == CHILDREN


async def test_a_wish_to_come_later_is_respected(house: House) -> None:
    house.api.refuse("deployments/x-engine", 429, "slow down", {"Retry-After": "7"})
    assert await house.look() == Again(7.0, failed=True)
    assert house.api.writes == ["PATCH deployments/x-engine"]


async def test_a_terminating_namespace_ends_the_work(house: House) -> None:
    house.api.refuse("deployments/x-engine", 403, "forbidden because it is being terminated")
    assert await house.look() is None
    assert house.api.writes == ["PATCH deployments/x-engine"]


def foreign(**metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x", "namespace": "ns", "uid": "f", "resourceVersion": "5", **metadata}}


async def test_a_foreign_service_is_left_alone(house: House) -> None:
    house.api.objects[CLIENT_SERVICE] = foreign()
    await house.look()
    assert "PATCH services/x" not in house.api.writes
    assert house.api.objects[CLIENT_SERVICE] == foreign()


async def test_a_foreign_workload_is_named_looked_for_again_and_replaced_when_it_goes(house: House) -> None:
    house.api.objects[WORKLOAD] = {**foreign(name="x-engine"), "apiVersion": "apps/v1", "kind": "Deployment"}
    assert await house.look() == Again(UNWATCHED_SECONDS, failed=False)
    assert house.api.writes == ["PATCH llmservices/x/status"]
    assert "Deployment x-engine exists" in house.api.bodies[0]["status"]["conditions"][0]["message"]
    del house.api.objects[WORKLOAD]
    await house.look()
    assert house.api.writes == CHILDREN


def owned_by(uid: str, **more: Any) -> list[dict[str, Any]]:
    return [{"apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMService", "name": "x", "uid": uid, "controller": True, **more}]


async def test_a_predecessors_child_is_waited_for(house: House) -> None:
    house.api.objects[CLIENT_SERVICE] = foreign(ownerReferences=owned_by("before"))
    again = await house.look()
    assert "PATCH services/x" not in house.api.writes
    assert again is not None
    assert not again.failed


async def test_a_child_that_names_us_but_is_not_controlled_by_us_is_no_predecessors(house: House) -> None:
    house.api.objects[WORKLOAD] = {
        **foreign(name="x-engine", ownerReferences=owned_by("owner", controller=False)),
        "apiVersion": "apps/v1",
        "kind": "Deployment",
    }
    assert await house.look() == Again(UNWATCHED_SECONDS, failed=False)


async def test_what_is_no_longer_wanted_is_pruned_by_its_uid(house: House) -> None:
    house.wants(autoscaling={"maxReplicas": 3})
    await house.look()
    hpa = house.store.get(HORIZONTAL_POD_AUTOSCALER, "ns", "x-engine")
    assert hpa is not None
    house.wants()
    await house.look()
    assert house.api.writes == ["DELETE horizontalpodautoscalers/x-engine"]
    assert house.api.bodies[0]["preconditions"] == {"uid": hpa["metadata"]["uid"]}


async def test_replicas_are_written_through_scale_alone(house: House) -> None:
    house.wants(replicas=3)
    await house.look()
    assert house.api.writes == [*CHILDREN, "PATCH deployments/x-engine/scale"]
    assert "replicas" not in house.api.bodies[0]["spec"]
    assert house.store.get(DEPLOYMENT, "ns", "x-engine") is not None
    assert house.store.get(SERVICE, "ns", "x") is not None


async def test_a_spec_that_the_checks_refuse_changes_no_child(house: House) -> None:
    house.wants(engine={"extraArgs": ["--port=1"]})
    assert await house.look() is None
    assert house.api.writes == ["PATCH llmservices/x/status"]


async def test_a_service_that_is_gone_is_nobodys_work(house: House) -> None:
    assert await house.reconciler.reconcile(("ns", "other")) is None
    assert house.api.writes == []


async def test_a_refusal_longer_than_a_condition_may_be_is_still_said(house: House) -> None:
    house.api.refuse("deployments/x-engine", 422, "x" * 40_000)
    assert await house.look() is None
    assert house.api.writes[-1] == "PATCH llmservices/x/status"


async def test_an_edit_that_comes_with_the_answer_to_our_status_is_not_lost(house: House) -> None:
    await house.look()
    house.now = SETTLE_SECONDS
    house.api.objects[LLMSERVICE.path("ns", "x")]["metadata"]["generation"] = 2
    assert await house.look() == Again(0.0, failed=False)
    assert house.api.writes == ["PATCH llmservices/x/status"]


async def test_a_missing_config_map_replaces_no_replica_that_serves(house: House) -> None:
    env = [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "a"}}}]
    house.wants(engine={"env": env})
    assert await house.look() == Again(UNWATCHED_SECONDS, failed=False)
    assert house.api.writes == ["PATCH llmservices/x/status"]
    conditions = {item["type"]: item for item in house.api.bodies[0]["status"]["conditions"]}
    assert conditions["Ready"]["reason"] == "ConfigError"
    assert conditions["Ready"]["message"] == "ConfigMap settings does not exist: create it, or correct the reference"
    config_map = {"metadata": {"name": "settings", "namespace": "ns"}, "data": {"a": "1"}}
    house.api.objects["/api/v1/namespaces/ns/configmaps/settings"] = config_map
    await house.look()
    assert house.api.writes == CHILDREN


async def test_a_config_map_that_may_not_be_read_is_said(house: House) -> None:
    house.wants(engine={"envFrom": [{"configMapRef": {"name": "settings"}}]})
    house.api.denied.add("/api/v1/namespaces/ns/configmaps/settings")
    assert await house.look() == Again(UNWATCHED_SECONDS, failed=False)
    conditions = {item["type"]: item for item in house.api.bodies[0]["status"]["conditions"]}
    assert conditions["Ready"]["reason"] == "ConfigError"
    assert conditions["Ready"]["message"] == "ConfigMap settings cannot be read by the operator, and its changes could not roll out: not allowed"


def test_a_model_that_does_not_fit_is_refused_for_that_alone() -> None:
    decision = Refused((Violation("a", "", "b", "c", reason=Reason.DOES_NOT_FIT),))
    assert decision.reason is Reason.DOES_NOT_FIT
    assert Refused((*decision.violations, Violation("d", "", "e", ""))).reason is Reason.INVALID


async def test_a_problem_with_a_sibling_does_not_stop_scaling(house: House) -> None:
    house.wants(replicas=0)
    house.api.objects[CLIENT_SERVICE] = foreign()
    await house.look()
    assert "PATCH deployments/x-engine/scale" in house.api.writes


async def test_a_refused_scale_is_told(house: House) -> None:
    house.wants(replicas=3)
    house.api.refuse("deployments/x-engine/scale", 403, "policy denies it")
    await house.look()
    house.now = SETTLE_SECONDS
    await house.look()
    conditions = {item["type"]: item for item in house.api.bodies[-1]["status"]["conditions"]}
    assert "the number of replicas of x-engine: policy denies it" in conditions["Ready"]["message"]


async def test_the_servers_order_of_adapters_is_no_news(house: House) -> None:
    """It keeps a list of this kind by its keys, in an order of its own where items came and went."""
    house.wants(adapters={"items": [{"name": name, "source": f"pvc://models/{name}"} for name in ("sql", "fr")]})
    await house.look()
    house.now = SETTLE_SECONDS
    await house.look()
    [body] = house.api.bodies
    assert [adapter["name"] for adapter in body["status"]["adapters"]] == ["fr", "sql"]
    path = LLMSERVICE.path("ns", "x")
    adapters = list(reversed(body["status"]["adapters"]))
    house.store.upsert(LLMSERVICE, house.api.changed(path, status={**house.api.objects[path]["status"], "adapters": adapters}))
    house.now = 3 * SETTLE_SECONDS
    await house.look()
    assert house.api.writes == []
