"""How a Deployment is told to replace its replicas, and by what its revisions are told apart."""

from dataclasses import replace
from typing import Any

import pytest

from llmfleet import names
from llmfleet.api.v1alpha1 import LLMServiceSpec
from llmfleet.resources.deployment import DeploymentWorkload
from llmfleet.resources.disruption_budget import build as budget
from llmfleet.resources.rollout_plan import DEADLINES_SECONDS, RolloutPlan, first_plan, progress_deadline_seconds
from tests.unit.resources.blueprints import blueprint

WORKLOAD = DeploymentWorkload()


def built(plan: RolloutPlan | None = None, **spec: Any) -> dict[str, Any]:
    given = blueprint({"model": {"source": "hf://org/model"}, **spec})
    return WORKLOAD.build(given if plan is None else replace(given, rollout=plan))


@pytest.mark.parametrize(
    ("plan", "strategy"),
    [
        (RolloutPlan("Surge", 1200), {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}),
        (RolloutPlan("InPlace", 1200), {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}),
        (RolloutPlan("InPlace", 1200, without_room=4), {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 5}}),
        (RolloutPlan("Recreate", 1200), {"type": "Recreate"}),
    ],
)
def test_each_strategy_in_the_deployments_own_words(plan: RolloutPlan, strategy: dict[str, Any]) -> None:
    spec = built(plan)["spec"]
    assert spec["strategy"] == strategy
    assert (spec["paused"], spec["progressDeadlineSeconds"]) == (False, 1200)


def test_what_is_rendered_before_anything_ran_surges_unless_recreate_is_asked_for() -> None:
    assert built()["spec"]["strategy"]["rollingUpdate"]["maxSurge"] == 1
    assert built(rollout={"strategy": "Recreate"})["spec"]["strategy"] == {"type": "Recreate"}
    assert built(RolloutPlan("Surge", 1200, paused=True))["spec"]["paused"] is True


def test_a_revision_follows_the_template_and_nothing_else() -> None:
    first, paused, other = built(), built(RolloutPlan("InPlace", 7200, 2, paused=True)), built(model={"source": "hf://org/model", "maxLength": 1024})
    assert WORKLOAD.revision(first) == WORKLOAD.revision(paused)
    assert WORKLOAD.revision(first) != WORKLOAD.revision(other)
    assert len(WORKLOAD.revision(first)) == 10
    assert names.LABEL_REVISION not in first["spec"]["selector"]["matchLabels"]


def test_an_annotation_of_the_users_makes_a_new_revision() -> None:
    assert WORKLOAD.revision(built(template={"metadata": {"annotations": {"try": "again"}}})) != WORKLOAD.revision(built())


@pytest.mark.parametrize(
    ("rollout", "engine", "measured", "deadline"),
    [
        ({}, {}, None, 7200),  # 5 min for requests, an hour for the start, 10 min for the rest
        ({}, {}, 30, 1200),
        ({}, {}, 300, 1800),
        ({}, {}, 310, 3600),
        ({"drainTimeout": "2h"}, {}, 30, 14400),
        ({}, {"startTimeout": "10h"}, None, 43200),
        ({}, {"startTimeout": "10h"}, 30, 1200),
    ],
)
def test_the_deadline_leaves_time_to_finish_requests_and_to_start(rollout: dict[str, Any], engine: dict[str, Any], measured: int | None, deadline: int) -> None:
    spec = LLMServiceSpec.model_validate({"model": {"source": "hf://a/b"}, "rollout": rollout, "engine": engine}, by_alias=True, by_name=False)
    assert progress_deadline_seconds(spec, measured) == deadline


def test_the_deadline_is_quantised_so_that_starts_that_differ_by_noise_have_the_same() -> None:
    spec = LLMServiceSpec.model_validate({"model": {"source": "hf://a/b"}})
    assert {progress_deadline_seconds(spec, seconds) for seconds in range(1, 4000)} == set(DEADLINES_SECONDS)
    assert first_plan(spec) == RolloutPlan("Surge", 7200)


def test_a_drain_does_not_wait_for_replicas_that_are_stuck() -> None:
    given = blueprint({"model": {"source": "hf://org/model"}})
    assert budget(given)["spec"]["maxUnavailable"] == 1
    stuck = replace(given, stuck_replicas=2)
    assert budget(stuck)["spec"]["maxUnavailable"] == 3
