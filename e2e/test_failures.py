"""What goes wrong on a real node is said in the words of whoever noticed it."""

from dataclasses import dataclass
from typing import Any

import pytest

from e2e.fleet import Fleet, example
from e2e.waiting import eventually

UNKNOWN_VERSION = "0.99.0"
"""Of a version without a catalogue nothing is known: what vLLM refuses is then told by vLLM."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What is wrong with a service, and what its condition Ready says of it."""

    changes: dict[str, Any]
    """Of the example."""
    reason: str
    words: tuple[str, ...]
    """Parts of the message: the cause, and what to do."""
    final: bool
    """Whether waiting is in vain."""


FAILURES = {
    "argument": Failure(
        {"engine": {"version": UNKNOWN_VERSION, "extraArgs": ["--no-such-flag"]}}, "CrashLoop",
        ("InvalidArgument: unrecognized arguments: --no-such-flag", "take --no-such-flag out of spec.engine.extraArgs"), True,
    ),
    "quantization": Failure(
        {"engine": {"version": UNKNOWN_VERSION}, "quantization": {"method": "nonsense"}}, "CrashLoop",
        ("UnknownQuantization: Unknown quantization method: nonsense", "spec.quantization.method"), True,
    ),
    "kv-cache": Failure(
        {"engine": {"extraArgs": ["--num-gpu-blocks-override=3"]}}, "CrashLoop",
        ("KVCacheTooSmall: To serve at least one request", "lower spec.model.maxLength to "), True,
    ),
    "secret": Failure(
        {"access": {"apiKeys": [{"secretKeyRef": {"name": "no-such-secret", "key": "key"}}]}}, "ConfigError",
        ('secret "no-such-secret" not found', "create the Secret", "spec.access.apiKeys"), True,
    ),
    "image": Failure(
        {"engine": {"image": "localhost/no-such-image:1"}}, "ImagePullFailed",
        ("localhost/no-such-image:1", "correct spec.engine.image or spec.engine.version"), True,
    ),
    "node": Failure(
        {"template": {"spec": {"nodeSelector": {"no-such": "label"}}}}, "Unschedulable",
        ("didn't match Pod's node affinity/selector", "label a node so", "spec.template.spec.nodeSelector"), False,
    ),
    # Told as soon as the model is known, and before anything is started.
    "length": Failure({"model": {"maxLength": 1_000_000}}, "Invalid", ("spec.model.maxLength",), True),
}  # fmt: skip


@pytest.mark.timeout(420)
@pytest.mark.parametrize("name", FAILURES)
async def test_a_failure_is_named_with_its_cause_and_what_to_do(name: str, fleet: Fleet, namespace: str) -> None:
    failure = FAILURES[name]
    manifest = example("pvc-minimal.yaml", **failure.changes)
    manifest["metadata"]["name"] = name
    fleet.kubectl.must("-n", namespace, "apply", "-f", "-", given=manifest)

    def named() -> bool:
        ready = fleet.condition(name, namespace, "Ready")
        assert (ready["status"], ready["reason"]) == ("False", failure.reason), ready
        assert [words for words in failure.words if words not in ready["message"]] == [], ready
        assert (fleet.condition(name, namespace, "Stalled")["status"] == "True") == failure.final
        return True

    try:
        await eventually(named, within_seconds=200, every_seconds=1)
        print(f"$ kubectl describe llm {name}\n{_conditions(fleet.kubectl.must('-n', namespace, 'describe', 'llm', name))}")
    finally:
        fleet.kubectl.must("-n", namespace, "delete", "llm", name, "--cascade=foreground", "--timeout=120s")


def _conditions(description: str) -> str:
    """The part of `kubectl describe` in which a person looks for what is wrong."""
    lines = description.splitlines()
    first = lines.index("  Conditions:")
    last = next(number for number, line in enumerate(lines[first + 1 :], first + 1) if not line.startswith("   "))
    return "\n".join(lines[first:last])


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
