"""Whatever template the checks accept, the API server applies or refuses with a path: never the bare 500 that it has for what is ill-typed."""

import json
from random import Random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2e.cluster.controlplane import ControlPlane
from llmfleet.api.pod_shape import Shape, pod_template
from llmfleet.planning.checks import CHECKS
from llmfleet.resources.children import children
from tests.unit.planning.checks.subjects import subject
from tests.unit.resources.blueprints import blueprint

SPEC = pod_template().fields["spec"]
STRAY: tuple[Any, ...] = ("x", 7, True, [], {}, None, 1.5, [1], {"a": "b"})
"""Put where something else belongs, once in a while."""


def value(shape: Shape, depth: int, random: Random) -> Any:
    """Something of this shape, or not quite."""
    if random.random() < 0.02:
        return random.choice(STRAY)
    match shape.kind:
        case "string":
            return random.choice(shape.choices or ("a", "b", "x-y", "/data", "1"))
        case "integer" | "number":
            return random.choice((0, 1, 2, 30, 8000))
        case "boolean":
            return random.random() < 0.3
        case "quantity":
            return random.choice(("1", "500m", "1Gi", 2, 0.5))
        case "intOrString":
            return random.choice(("http", 1, 8080))
        case "map":
            return {key: value(shape.inner, depth - 1, random) if shape.inner else "v" for key in random.sample("abc", random.randint(0, 2))}
        case "list":
            return [value(shape.inner, depth - 1, random) for _ in range(random.randint(0, 2))] if shape.inner and depth > 0 else []
        case _:
            share = 2 / max(2, len(shape.fields))
            return {
                name: value(field, depth - 1, random)
                for name, field in shape.fields.items()
                if name in shape.required or (depth > 0 and random.random() < share)
            }


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(random=st.randoms(use_true_random=False))
def test_what_the_checks_accept_is_applied_or_refused_with_a_path(random: Random, control_plane: ControlPlane) -> None:
    template = {name: value(SPEC.fields[name], 4, random) for name in random.sample(sorted(SPEC.fields), random.randint(1, 4))}
    checked = subject(template={"spec": template})
    if any(violation for check in CHECKS if "template" in check.fields for violation in check(checked)):
        return
    workload = children(blueprint({"model": {"source": "hf://a/b"}, "template": {"spec": template}}))[0]
    workload["metadata"]["namespace"] = "default"
    path = "/apis/apps/v1/namespaces/default/deployments/qwen-engine?fieldManager=test&force=true&dryRun=All&fieldValidation=Strict"
    status, answer = control_plane.client().request("PATCH", path, json.loads(json.dumps(workload)), content_type="application/apply-patch+yaml")
    assert status in (200, 201, 422), answer
    if status == 422:
        assert all(cause["field"].startswith("spec.template.spec") for cause in answer["details"]["causes"]), answer
