"""Whatever template the checks accept, the API server applies or refuses with a path: never the bare 500 that it has for what is ill-typed."""

import json
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2e.cluster.controlplane import ControlPlane
from llmfleet.planning.checks import CHECKS
from llmfleet.resources.children import children
from tests.integration.properties.templates import pod_overrides
from tests.unit.planning.checks.subjects import subject
from tests.unit.resources.blueprints import blueprint


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(random=st.randoms(use_true_random=False))
def test_what_the_checks_accept_is_applied_or_refused_with_a_path(random: Random, control_plane: ControlPlane) -> None:
    template = pod_overrides(random)
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
