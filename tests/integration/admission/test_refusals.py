"""What a person reads who applies what cannot work, and what passes all the same."""

import signal

import pytest

from e2e.kubectl import Kubectl
from e2e.waiting import eventually
from llmfleet.kube.client import Client
from tests.integration.admission.conftest import REGISTRATION, SAYS, WRONG, Webhook
from tests.integration.operator_process import ROOT, Operator, condition, service, status_of, writes

MANIFESTS = {path.stem: path.read_text() for path in sorted((ROOT / "e2e/wrong").glob("*.yaml"))}
"""Each begins with what kubectl must say."""


@pytest.mark.parametrize("name", MANIFESTS)
async def test_a_wrong_manifest_shows_a_helpful_message(name: str, admission: Webhook, kubectl: Kubectl, namespace: str) -> None:
    expected = [line.removeprefix("# says: ") for line in MANIFESTS[name].splitlines() if line.startswith("# says: ")]
    answer = kubectl("-n", namespace, "apply", "-f", "-", given=MANIFESTS[name])
    assert answer.returncode != 0
    assert expected
    for words in expected:
        assert words in answer.stderr


async def test_every_message_stands_on_its_own_line(admission: Webhook, kubectl: Kubectl, namespace: str) -> None:
    answer = kubectl("apply", "-f", "-", given=service("one", namespace, **WRONG))
    lines = [line for line in answer.stderr.splitlines() if line.startswith("- spec.")]
    assert SAYS in answer.stderr
    assert [line.split(" ")[1] for line in lines] == ["spec.accelerator.profile", "spec.engine.extraArgs[0]"]


async def test_a_warning_is_shown_and_the_object_stored(admission: Webhook, kubectl: Kubectl, namespace: str) -> None:
    wanted = service("one", namespace, model={"source": "pvc://models/tiny", "loadFormat": "dummy"})
    answer = kubectl("apply", "-f", "-", given=wanted)
    assert answer.returncode == 0, answer.stderr
    assert "Warning: spec.model.loadFormat 'dummy': serves random weights" in answer.stderr


async def test_a_profile_is_asked_about_and_counts_at_once(admission: Webhook, kubectl: Kubectl, namespace: str) -> None:
    name = f"house-{namespace}"
    profile = {"apiVersion": "llmfleet.dev/v1alpha1", "kind": "AcceleratorProfile", "metadata": {"name": name}}
    images = {"*": "registry.example/vllm:{version}"}
    wanted = service("one", namespace, accelerator={"profile": name})
    assert kubectl("apply", "-f", "-", given=wanted).returncode != 0
    kubectl.must("apply", "-f", "-", given={**profile, "spec": {"images": images}})
    await eventually(lambda: kubectl("apply", "-f", "-", given=wanted).returncode == 0, what="the operator has seen the profile")
    kubectl.must("delete", "acceleratorprofile", name)


async def test_while_no_operator_answers_objects_are_stored_and_looked_at_later(
    admission: Webhook, answering: Operator, kubectl: Kubectl, client: Client, namespace: str
) -> None:
    answering.end(signal.SIGTERM)
    kubectl.must("apply", "-f", "-", given=service("wrong", namespace, **WRONG))
    answering.start()
    await answering.leading()
    await admission.in_force()

    async def said() -> bool:
        accepted = condition(await status_of(client, namespace, "wrong"), "Accepted")
        assert (accepted["status"], accepted["reason"]) == ("False", "Invalid")
        assert "abacus" in accepted["message"]
        return True

    await eventually(said, what="the reconciler says what admission would have said")

    # What is stored can be labelled and annotated, but its specification changed only into a right one.
    kubectl.must("-n", namespace, "label", "llm/wrong", "team=a")
    other = {**WRONG, "accelerator": {"profile": "nonsense"}}
    assert SAYS in kubectl("apply", "-f", "-", given=service("wrong", namespace, **other)).stderr
    kubectl.must("-n", namespace, "patch", "llm/wrong", "--type=merge", "-p", '{"metadata": {"finalizers": ["example.com/hold"]}}')
    kubectl.must("-n", namespace, "delete", "llm/wrong", "--wait=false")
    kubectl.must("-n", namespace, "patch", "llm/wrong", "--type=merge", "-p", '{"metadata": {"finalizers": null}}')
    await eventually(lambda: kubectl.get("llm", "wrong", namespace) is None, what="it is gone")


async def test_one_field_is_written_and_not_again_by_the_next_operator(admission: Webhook, answering: Operator, kubectl: Kubectl) -> None:
    manager = "jsonpath={.metadata.managedFields[?(@.manager=='llmfleet-certificate')].fieldsV1}"
    owned = kubectl.must("get", REGISTRATION, "--show-managed-fields", "-o", manager)
    assert "f:caBundle" in owned
    assert "f:rules" not in owned

    def patches() -> int:
        return sum(write.resource == "validatingwebhookconfigurations" for write in writes(answering.audit_log, None))

    before = patches()
    answering.end(signal.SIGTERM)
    answering.start()
    await eventually(answering.is_ready, what="the next operator answers")
    await admission.in_force()
    assert patches() == before
