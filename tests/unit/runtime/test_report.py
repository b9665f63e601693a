import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from llmfleet_runtime.adapters import AdapterState
from llmfleet_runtime.adapters import State as Adapter
from llmfleet_runtime.engine_api import Facts, Queue
from llmfleet_runtime.failure_patterns import Reason
from llmfleet_runtime.failures import Failure
from llmfleet_runtime.lifecycle import Lifecycle, State
from llmfleet_runtime.measured_memory import Memory
from llmfleet_runtime.report import Seen, report
from llmfleet_runtime.startup import Duration, Phase

COMMAND = ("vllm", "serve", "m", "--api-key", "sk-1", "--max-num-seqs=8")
EARLIER = {"reason": "OutOfMemory", "message": "CUDA out of memory", "remedy": "use a larger accelerator", "state": "Starting"}
EVERYTHING = Seen(
    phases=[Duration(Phase.PREFLIGHT, 0.1), Duration(Phase.IMPORTS, 20.0)],
    facts=Facts("0.32.0", ["tiny", "sql"], 1024, 131072, 1024, 128),
    queue=Queue(3.0, 5.0, 70.0),
    in_flight=9,
    memory=Memory(weights_bytes=15_000, kv_cache_bytes=40_000, graphs_bytes=300, concurrency=12.5),
    adapters=[AdapterState("sql", "/adapters/1", Adapter.LOADED), AdapterState("fr", "/claims/m/fr", Adapter.FAILED, "rank 64 is above 16")],
    previous_failure=EARLIER,
)


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    document: dict[str, Any] = json.loads((Path(__file__).parents[3] / "docs/report.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    return document


def life(state: State) -> Lifecycle:
    """A life that has come to this state."""
    life = Lifecycle(lambda: 0.0)
    if state is State.PREFLIGHT:
        return life
    life.preflight_passed()
    if state is State.STARTING:
        return life
    life.engine_listens()
    if state is State.WARMING:
        return life
    life.engine_answered()
    if state is State.FAILED:
        life.engine_failed(Failure(Reason.ENGINE_DIED, "why", "do this", 1))
    elif state is not State.SERVING:
        life.stop_requested()
        if state is State.STOPPED:
            life.engine_stopped()
    return life


@pytest.mark.parametrize("state", State)
def test_the_report_of_every_state_is_as_documented(schema: dict[str, Any], state: State) -> None:
    for document in (report(life(state), COMMAND, Seen(unready="told to stop")), report(life(state), COMMAND, EVERYTHING)):
        jsonschema.validate(json.loads(json.dumps(document)), schema)
        assert document["state"] == state


def test_a_serving_engine_reports_what_it_said_of_itself() -> None:
    document = report(life(State.SERVING), COMMAND, EVERYTHING)
    assert document["engine"] == {"version": "0.32.0", "arguments": ["vllm", "serve", "m", "--api-key", "***", "--max-num-seqs=8"]}
    assert document["model"] == {"names": ["tiny", "sql"], "maxLength": 1024}
    assert document["kvCache"] == {"tokens": 131072, "blocks": 1024, "blockSize": 128}
    assert document["memory"] == {"weightsBytes": 15_000, "kvCacheBytes": 40_000, "graphsBytes": 300}
    assert document["concurrency"] == 12.5
    assert document["limits"] == {"maxSequences": 8}
    assert document["requests"] == {"running": 3, "waiting": 5, "inFlight": 9}
    assert document["phases"] == [{"name": "Preflight", "seconds": 0.1}, {"name": "Imports", "seconds": 20.0}]
    assert [state["name"] for state in document["states"]] == ["Preflight", "Starting", "Warming", "Serving"]
    assert document["adapters"][1] == {"name": "fr", "path": "/claims/m/fr", "state": "Failed", "message": "rank 64 is above 16"}
    assert document["readiness"] == {"ready": True, "reason": None}
    assert document["failure"] is None
    assert document["previousFailure"] == EARLIER


def test_a_failure_is_told_with_its_remedy_and_the_state_in_which_it_happened() -> None:
    document = report(life(State.FAILED), COMMAND, Seen())
    assert document["failure"] == {"reason": "EngineDied", "message": "why", "remedy": "do this", "state": "Serving"}


def test_cut_requests_are_told() -> None:
    draining = life(State.DRAINING)
    draining.cut = 3
    assert report(draining, COMMAND, Seen())["cut"] == 3


def test_the_schema_lists_the_states_the_phases_and_the_reasons(schema: dict[str, Any]) -> None:
    assert set(schema["$defs"]["state"]["enum"]) == set(State)
    assert schema["properties"]["phases"]["items"]["properties"]["name"]["enum"] == list(Phase)
    assert set(schema["properties"]["adapters"]["items"]["properties"]["state"]["enum"]) == set(Adapter)
    assert set(schema["$defs"]["reason"]["enum"]) == set(Reason)


def test_the_example_of_the_page_is_as_documented(schema: dict[str, Any]) -> None:
    page = (Path(__file__).parents[3] / "docs/engine-pod.md").read_text()
    example = json.loads(page.split("```json\n")[1].split("```")[0])
    jsonschema.validate(example, schema)
    assert example.keys() == set(schema["required"])


def test_the_page_explains_every_state_and_reason() -> None:
    page = (Path(__file__).parents[3] / "docs/engine-pod.md").read_text()
    for word in (*State, *Reason):
        assert f"`{word}`" in page, word
