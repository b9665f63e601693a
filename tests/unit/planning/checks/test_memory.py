"""Memory: the plan as a refusal, and settings that share it out."""

from llmfleet.names import Reason
from llmfleet.planning.checks import memory
from tests.unit.planning.checks.subjects import CPU, PLAIN, device, facts, refused, said, subject, warned


def test_a_model_that_does_not_fit_is_refused_before_an_accelerator_is_taken() -> None:
    (violation,) = memory.does_it_fit(subject(device("7.5", memory="8Gi"), facts(weights=PLAIN)))
    assert violation.reason is Reason.DOES_NOT_FIT
    assert not violation.warning
    assert violation.field == "spec.parallelism.tensor"
    assert "set spec.parallelism.tensor to" in violation.remedy


def test_a_context_that_does_not_fit_is_told_at_the_length() -> None:
    long = facts(max_position_embeddings=1_048_576)
    (violation,) = memory.does_it_fit(subject(device("8.9", memory="24Gi"), long))
    assert (violation.field, violation.value) == ("spec.model.maxLength", "1048576")
    assert "set spec.model.maxLength to" in violation.remedy


def test_a_model_that_fits_and_one_that_is_not_known_are_taken() -> None:
    assert said(memory.does_it_fit, device("9.0", memory="80Gi"), facts()) == ()
    assert said(memory.does_it_fit, device("9.0", memory="1Gi")) == ()
    assert said(memory.does_it_fit, device("9.0"), facts()) == ()


def test_a_size_without_a_unit_is_a_slip() -> None:
    assert "write a unit, for instance 20Gi" in refused(memory.kv_cache_without_a_unit, engine={"kvCacheMemory": "20"})
    assert said(memory.kv_cache_without_a_unit, engine={"kvCacheMemory": "64Mi"}) == ()


def test_on_the_cpu_the_variable_says_the_size_of_the_kv_cache() -> None:
    assert "has no effect" in warned(memory.utilization_of_the_cpu, engine={"memoryUtilization": 0.5}, accelerator={"profile": "cpu"})
    assert said(memory.utilization_of_the_cpu, CPU, engine={"memoryUtilization": 0.5}) == ()
    assert said(memory.utilization_of_the_cpu, device(), engine={"memoryUtilization": 0.5}) == ()


def test_nothing_moves_from_the_cpu_to_its_own_memory() -> None:
    assert "spec.engine.kvOffload" in refused(memory.offload_from_the_cpu, CPU, engine={"kvOffload": {"memory": "4Gi"}})
    assert "spec.engine.cpuOffload" in refused(memory.offload_from_the_cpu, CPU, engine={"cpuOffload": "4Gi"})
    assert said(memory.offload_from_the_cpu, device(), engine={"cpuOffload": "4Gi", "kvOffload": {"memory": "4Gi"}}) == ()


def test_lmcache_is_a_server_of_its_own() -> None:
    assert "localhost:5555" in warned(memory.offload_to_lmcache, engine={"kvOffload": {"memory": "4Gi", "backend": "lmcache"}})
    assert said(memory.offload_to_lmcache, engine={"kvOffload": {"memory": "4Gi", "backend": "native"}}) == ()
