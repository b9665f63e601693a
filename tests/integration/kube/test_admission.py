"""Clusters with a service mesh or a policy engine change our children on the way in: that must not start a fight."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from e2e.cluster.controlplane import ControlPlane
from llmfleet import names
from llmfleet.kube.client import Client
from llmfleet.kube.kinds import DEPLOYMENT
from llmfleet.kube.objects import Object
from llmfleet.kube.ownership import Applied, stamped
from llmfleet.kube.schemas import Schemas
from llmfleet.kube.slim import slim_child
from tests.integration.kube.manifests import manifest

# Adds a label and a sidecar, overrules a number and a variable of ours, and removes a field.
MEDDLING = """Object{
  metadata: Object.metadata{labels: {"mesh": "on"}},
  spec: Object.spec{template: Object.spec.template{spec: Object.spec.template.spec{
    terminationGracePeriodSeconds: 120,
    containers: [
      Object.spec.template.spec.containers{name: "engine", env: [Object.spec.template.spec.containers.env{name: "HOME", value: "/elsewhere"}]},
      Object.spec.template.spec.containers{name: "proxy", image: "proxy:1"}
    ]
  }}}
}"""
REMOVAL = '[JSONPatch{op: "remove", path: "/spec/revisionHistoryLimit"}]'


def policy(name: str, namespace: str) -> list[Object]:
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["deployments"]}
    spec = {
        "matchConstraints": {"resourceRules": [rule]},
        "matchConditions": [{"name": "here", "expression": f"object.metadata.namespace == '{namespace}'"}],
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "mutations": [
            {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": MEDDLING}},
            {"patchType": "JSONPatch", "jsonPatch": {"expression": REMOVAL}},
        ],
    }
    api_version = "admissionregistration.k8s.io/v1"
    return [
        {"apiVersion": api_version, "kind": "MutatingAdmissionPolicy", "metadata": {"name": name}, "spec": spec},
        {"apiVersion": api_version, "kind": "MutatingAdmissionPolicyBinding", "metadata": {"name": name}, "spec": {"policyName": name}},
    ]


class Meddler:
    """Switches the policy on for one namespace."""

    def __init__(self, control_plane: ControlPlane, namespace: str) -> None:
        self._control_plane = control_plane
        self._objects = json.dumps({"apiVersion": "v1", "kind": "List", "items": policy(f"meddler-{namespace}", namespace)})

    def kubectl(self, verb: str) -> None:
        plane = self._control_plane
        command = [str(plane.kubectl), "--kubeconfig", str(plane.kubeconfig), verb, "-f", "-"]
        subprocess.run(command, input=self._objects, text=True, check=True, capture_output=True, timeout=60)


@pytest.fixture
def meddler(control_plane: ControlPlane, namespace: str) -> Iterator[Meddler]:
    meddler = Meddler(control_plane, namespace)
    yield meddler
    meddler.kubectl("delete")


@pytest.mark.parametrize("before", ["there before us", "installed later"])
async def test_what_admission_changes_costs_no_second_write(client: Client, namespace: str, meddler: Meddler, before: str) -> None:
    schemas = Schemas(client, [DEPLOYMENT])
    await schemas.load()
    wanted = manifest("Deployment", namespace)

    async def apply() -> Object:
        return await client.apply(stamped(wanted), field_manager=names.FIELD_MANAGER)

    def as_rendered(live: Object) -> bool:
        return Applied().as_rendered(DEPLOYMENT, slim_child(live), wanted, schemas)

    if before == "installed later":
        await apply()
    await asyncio.to_thread(meddler.kubectl, "apply")
    await _in_force(client, namespace)

    # A foreign request that changes nothing of ours carries the meddling in, under a foreign name.
    live = await apply() if before == "there before us" else await _touch(client, namespace, "x")
    assert live["metadata"]["labels"]["mesh"] == "on"
    pod = live["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 120
    assert {"name": "HOME", "value": "/elsewhere"} in pod["containers"][0]["env"]
    assert [container["name"] for container in pod["containers"]] == ["engine", "proxy"]
    assert as_rendered(live)

    generation = live["metadata"]["generation"]
    again = await apply()
    assert as_rendered(again)
    assert again["metadata"]["generation"] == generation


async def _in_force(client: Client, namespace: str) -> None:
    """Return once the API server's plugin has seen the policy: there is no status to wait for."""
    probe: dict[str, Any] = manifest("Deployment", namespace)
    probe["metadata"]["name"] = "probe"
    live = await client.apply(probe, field_manager="probe")
    async with asyncio.timeout(30):
        while "mesh" not in live["metadata"]["labels"]:
            await asyncio.sleep(0.1)
            live = await _touch(client, namespace, "probe")


async def _touch(client: Client, namespace: str, name: str) -> Object:
    note = str(asyncio.get_running_loop().time())
    return await client.merge_patch(DEPLOYMENT, namespace, name, {"metadata": {"annotations": {"note": note}}}, field_manager="someone")
