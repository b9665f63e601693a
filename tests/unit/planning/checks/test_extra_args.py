"""engine.extraArgs: who owns a flag, and what vLLM would make of the rest."""

import pytest

from llmfleet.planning.checks import extra_args
from llmfleet.planning.checks.check import check
from llmfleet.planning.violation import Violation
from tests.unit.planning.checks.subjects import said

OWNED = check("engine.extraArgs")(extra_args.owned_flags)
REFUSED = check("engine.extraArgs")(extra_args.refused_arguments)


def owned(*items: str, **engine: str) -> tuple[Violation, ...]:
    return said(OWNED, engine={"extraArgs": list(items), **engine})


def refused(*items: str, **engine: str) -> tuple[Violation, ...]:
    return said(REFUSED, engine={"extraArgs": list(items), **engine})


def test_an_owned_flag_is_refused_with_its_owner_and_what_to_do_instead() -> None:
    (violation,) = owned("--port", "80")
    assert violation.message == (
        "spec.engine.extraArgs[0] '--port': belongs to the operator; "
        "remove it: the Service and the probes expect vLLM's own HTTP server on port 8000 of every interface"
    )


def test_a_flag_in_another_spelling_is_told_with_its_full_name_and_its_field() -> None:
    (violation,) = owned("--enable-log-requests", "-tp=2")
    assert violation.message == (
        "spec.engine.extraArgs[1] '-tp': is --tensor-parallel-size, which belongs to spec.parallelism.tensor; set spec.parallelism.tensor"
    )


def test_what_is_wrong_with_an_owned_flag_is_not_told_too() -> None:
    items = ["-tp4", "--max-num-seqs", "many"]
    assert [violation.field for violation in owned(*items)] == ["spec.engine.extraArgs[0]", "spec.engine.extraArgs[1]"]
    assert refused(*items) == ()


def test_an_api_key_is_refused_and_not_repeated() -> None:
    (violation,) = owned("--api-key", "sk-secret")
    assert "belongs to spec.access.apiKeys" in violation.rule
    assert "sk-secret" not in violation.message


def test_what_vllm_refuses_is_refused_with_its_place() -> None:
    assert [(violation.field, violation.value) for violation in refused("--enable-log-requests", "--max-log-len", "x", "--nonsense")] == [
        ("spec.engine.extraArgs[1]", "--max-log-len"),
        ("spec.engine.extraArgs[3]", "--nonsense"),
    ]


def test_a_value_behind_a_flag_that_takes_none_would_be_a_second_model() -> None:
    (violation,) = refused("--enable-log-requests", "other/model")
    assert (violation.field, violation.value) == ("spec.engine.extraArgs[1]", "")
    assert "other/model" not in violation.message


@pytest.mark.parametrize(
    "items",
    [
        ["--max-log-len", "-1"],
        ["--allowed-media-domains", "a.org", "b.org"],
        ["--no-async-scheduling", "--max-log-len", "1"],
        ["--additional-config", '{"a": 1}', "--enable-log-requests"],
        ["--allow-deprecated-quantization"],
        ["--kv_transfer_config.kv_role=kv_both", "--kv-transfer-config.kv_connector", "NixlConnector"],
    ],
)
def test_what_vllm_takes_and_nobody_owns_is_taken(items: list[str]) -> None:
    assert (owned(*items), refused(*items)) == ((), ())


def test_a_flag_is_checked_against_the_version_that_runs() -> None:
    assert refused("--grpc-port", "9000", version="0.32.0") == ()
    (violation,) = refused("--swa-bounded-replay", version="0.30.0")
    assert violation.rule == "exists only from vLLM 0.31.0 on, and this service runs 0.30.0"


def test_an_image_of_ones_own_may_know_further_names_but_no_further_flags() -> None:
    items = ["--mamba-backend", "mine"]
    assert len(refused(*items)) == 1
    assert refused(*items, image="mine:1") == ()
    assert len(refused("--nonsense", image="mine:1")) == 1


def test_of_a_version_without_a_catalogue_only_the_owners_are_known() -> None:
    assert refused("--nonsense", "x", version="0.40.0", image="mine:1") == ()
    assert [violation.value for violation in owned("--nonsense", "x", "-tp", "2", version="0.40.0", image="mine:1")] == ["-tp"]
