"""What goes wrong on a real node is said in the words of whoever noticed it."""

from typing import Any

import pytest

from e2e.fleet import Fleet, example
from e2e.waiting import eventually

FAILURES: dict[str, tuple[dict[str, Any], str, str, bool]] = {
    "image": ({"engine": {"image": "localhost/no-such-image:1"}}, "ImagePullFailed", "localhost/no-such-image:1", True),
    "node": ({"template": {"spec": {"nodeSelector": {"no-such": "label"}}}}, "Unschedulable", "didn't match Pod's node affinity/selector", False),
    # Of a version without a catalogue nothing is known: what vLLM refuses is then told by vLLM.
    "argument": ({"engine": {"version": "0.99.0", "extraArgs": ["--no-such-flag"]}}, "CrashLoop", "--no-such-flag", True),
    # Told as soon as the model is known, and before anything is started.
    "length": ({"model": {"maxLength": 1_000_000}}, "Invalid", "spec.model.maxLength", True),
}
"""Name: changes of the example, reason, part of the message, whether waiting is in vain."""


@pytest.mark.timeout(420)
@pytest.mark.parametrize("name", FAILURES)
async def test_a_failure_is_named_with_its_cause(name: str, fleet: Fleet, namespace: str) -> None:
    changes, reason, words, final = FAILURES[name]
    manifest = example("pvc-minimal.yaml", **changes)
    manifest["metadata"]["name"] = name
    fleet.kubectl.must("-n", namespace, "apply", "-f", "-", given=manifest)

    def named() -> bool:
        ready = fleet.condition(name, namespace, "Ready")
        assert (ready["status"], ready["reason"]) == ("False", reason), ready
        assert words in ready["message"], ready
        assert (fleet.condition(name, namespace, "Stalled")["status"] == "True") == final
        return True

    try:
        await eventually(named, within_seconds=200)
    finally:
        fleet.kubectl.must("-n", namespace, "delete", "llm", name, "--cascade=foreground", "--timeout=120s")


@pytest.mark.timeout(420)
async def test_a_bad_change_leaves_the_old_replica_serving_when_it_is_refused(fleet: Fleet, namespace: str) -> None:
    fleet.kubectl.must("-n", namespace, "apply", "-f", "-", given=example("pvc-minimal.yaml"))
    fleet.wait_ready("minimal", namespace)
    (before,) = fleet.engines("minimal", namespace)
    refused = fleet.kubectl("-n", namespace, "apply", "-f", "-", given=example("pvc-minimal.yaml", model={"maxLength": 1_000_000}))
    assert "spec.model.maxLength" in refused.stderr
    # Of another model nothing is known when it is applied: it is the operator that refuses, a little later.
    fleet.kubectl.must("-n", namespace, "apply", "-f", "-", given=example("pvc-minimal.yaml", model={"source": "pvc://models/tied", "maxLength": 1_000_000}))

    await eventually(lambda: fleet.condition("minimal", namespace, "Accepted")["status"] == "False", within_seconds=60)
    assert "spec.model.maxLength" in fleet.condition("minimal", namespace, "Accepted")["message"]
    assert fleet.condition("minimal", namespace, "Available")["status"] == "True"
    (after,) = fleet.ready_engines("minimal", namespace)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
