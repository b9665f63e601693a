"""What holds for the children of every specification."""

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmfleet.api.accelerator import built_in_profiles
from llmfleet.reconcile.desired import Accepted, Installation, desired
from llmfleet.resources.blueprint import Platform
from tests.unit.resources.specifications import SPECS

INSTALLATION = Installation(Platform("runtime:1", 3), built_in_profiles(), "nvidia")
NAMES = st.from_regex(r"[a-z]([-a-z0-9]{0,48}[a-z0-9])?", fullmatch=True).filter(lambda name: len(name) <= 50)
VARIABLES = st.lists(st.sampled_from(["VLLM_NO_USAGE_STATS", "FIRST", "SECOND"]), unique=True).map(lambda found: [{"name": n, "value": "x"} for n in found])


@settings(deadline=None, max_examples=60)
@given(name=NAMES, tensor=st.integers(1, 8), pipeline=st.integers(1, 4), env=VARIABLES, token=st.booleans(), scaled=st.booleans())
def test_children_hold_their_promises(name: str, tensor: int, pipeline: int, env: list[dict[str, str]], token: bool, scaled: bool) -> None:
    model: dict[str, Any] = {"source": "hf://org/model"}
    if token:
        model["credentials"] = {"secretKeyRef": {"name": "hf", "key": "token"}}
    spec: dict[str, Any] = {"model": model, "parallelism": {"tensor": tensor, "pipeline": pipeline}, "engine": {"env": env}}
    if scaled:
        spec["autoscaling"] = {"maxReplicas": 3}
    raw = {"metadata": {"name": name, "namespace": "ns", "uid": "u"}, "spec": spec, "apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMService"}
    decision = desired(raw, INSTALLATION, {})
    assert isinstance(decision, Accepted), decision
    workload = decision.children[0]
    assert workload["kind"] == "Deployment"
    assert "replicas" not in workload["spec"]
    assert set(workload["spec"]["selector"]["matchLabels"].values()) == {name, "engine"}
    engine = workload["spec"]["template"]["spec"]["containers"][0]
    assert engine["resources"]["limits"]["nvidia.com/gpu"] == str(tensor * pipeline)
    variables = [variable["name"] for variable in engine["env"]]
    assert len(variables) == len(set(variables))
    for child in decision.children:
        assert json.loads(json.dumps(child)) == child
        assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", child["metadata"]["name"])


@pytest.mark.parametrize("name", SPECS)
def test_every_reviewed_specification_passes_the_checks(name: str) -> None:
    raw = {"metadata": {"name": "qwen", "namespace": "chat", "uid": "u1"}, "spec": SPECS[name], "apiVersion": "llmfleet.dev/v1alpha1", "kind": "LLMService"}
    decision = desired(raw, INSTALLATION, {})
    assert isinstance(decision, Accepted), decision
