"""What vLLM's dataclasses say in code. Every case here was tried on the parser of vLLM 0.32.0, both sides; only the key of a watermark is read later."""

import json
from typing import Any

import pytest

from llmfleet.vllm.catalogue import catalogue
from llmfleet.vllm.command_line import read

NEWEST = catalogue("0.32.0")


def faults(flag: str, value: dict[str, Any], version: str = "0.32.0") -> list[str]:
    return [f"{problem.flag} {problem.rule}" for problem in read([flag, json.dumps(value)], catalogue(version)).problems]


@pytest.mark.parametrize(
    ("flag", "refused", "taken", "rule"),
    [
        ("attention", {"backend_per_kind": {"mamba2": "FLASHINFER"}}, {"backend_per_kind": {"mamba": "flashinfer"}}, "backend_per_kind has a key"),
        ("attention", {"backend_per_kind": {"mamba": "auto"}}, {"backend": "auto"}, "backend_per_kind takes the name"),
        ("attention", {"backend_per_kind": {"mamba": "FLASHY"}}, {"backend_per_kind": {}}, "backend_per_kind.mamba is none of the names"),
        ("compilation", {"custom_ops": ["rms_norm"]}, {"custom_ops": ["none", "+rms_norm"]}, "custom_ops holds something else"),
        ("compilation", {"custom_ops": ["all", "none"]}, {"custom_ops": ["all"]}, "custom_ops holds all or none"),
        ("compilation", {"custom_ops": ["+a", "-a"]}, {"custom_ops": ["+a", "-b"]}, "custom_ops turns the same"),
        ("compilation", {"mode": 3, "backend": "text"}, {"mode": "vllm_compile", "backend": "eager"}, "backend is no backend"),
        ("compilation", {"mode": "VLLM_COMPILE", "backend": "text"}, {"mode": 1, "backend": "text"}, "backend is no backend"),
        ("compilation", {"inductor_passes": {"a": "text"}}, {"inductor_passes": {}}, "inductor_passes takes the module"),
        ("compilation", {"decoder_replay_cudagraph_capture_sizes": [0]}, {"decoder_replay_cudagraph_capture_sizes": [1]}, "holds a number below 1"),
        ("compilation", {"encoder_cudagraph_token_budgets": ["0"]}, {"encoder_cudagraph_token_budgets": ["1"]}, "holds a number below 1"),
        (
            "compilation",
            {"cudagraph_mm_encoder": True, "encoder_cudagraph_max_frames_per_batch": -1},
            {"encoder_cudagraph_max_frames_per_batch": -1},
            "must be at least 0",
        ),
        ("engram", {"dp_shared_memory": True, "cpu_offload": False}, {"dp_shared_memory": True}, "wants cpu_offload"),
        ("engram", {"use_thp": "yes", "dp_shared_memory": "yes"}, {"use_thp": True}, "wants cpu_offload and no dp_shared_memory"),
        ("eplb", {"communicator": "pynccl"}, {"communicator": "pynccl", "use_async": False}, "does not work while use_async"),
        ("pooler", {"logit_sigma": "0.0"}, {"logit_sigma": 0.5}, "divides"),
        ("pooler", {"pooling_type": "CLS", "seq_pooling_type": "CLS"}, {"seq_pooling_type": "CLS"}, "says again what pooling_type says"),
        ("profiler", {"torch_profiler_dir": "/a"}, {"profiler": "torch", "torch_profiler_dir": "/a"}, "wants profiler torch"),
        ("profiler", {"profiler": "torch"}, {"profiler": "cuda"}, "wants torch_profiler_dir"),
        ("profiler", {"capture_torch_profiler": True}, {"capture_torch_profiler": False}, "wants profiler torch"),
        ("profiler", {"proton_data": "trace"}, {"proton_data": "tree"}, "wants profiler proton"),
        ("profiler", {"proton_mode": ""}, {"proton_mode": None}, "wants profiler proton"),
        ("profiler", {"profiler": "proton"}, {"profiler": "proton", "proton_profiler_dir": "/a"}, "wants proton_profiler_dir"),
        ("profiler", {"profiler": "proton", "proton_profiler_dir": "s3://a"}, {"profiler": "proton", "proton_profiler_dir": "c://a"}, "takes a path"),
        (
            "profiler",
            {"profiler": "proton", "proton_profiler_dir": "/a", "proton_graph_attribution": True, "proton_data": "trace"},
            {"profiler": "proton", "proton_profiler_dir": "/a", "proton_graph_attribution": True},
            "wants proton_data tree",
        ),
        (
            "profiler",
            {"profiler": "proton", "proton_profiler_dir": "/a", "proton_graph_attribution": True, "proton_mode": "Periodic_Flushing:x"},
            {"profiler": "proton", "proton_profiler_dir": "/a", "proton_graph_attribution": True, "proton_mode": "pcsampling"},
            "does not work with the mode",
        ),
        (
            "profiler",
            {"profiler": "proton", "proton_profiler_dir": "/a", "proton_output_format": "chrome_trace"},
            {"profiler": "proton", "proton_profiler_dir": "/a", "proton_output_format": "hatchet"},
            "is a format of proton_data trace",
        ),
        ("quantization", {"linear": "fp8"}, {"linear": "mxfp8"}, "linear is given no format"),
        ("quantization", {"linear": "mxfp8", "targets": {}}, {"targets": {"re:.*": "mxfp8"}}, "targets excludes"),
        ("structured-outputs", {"disable_any_whitespace": True}, {"disable_any_whitespace": True, "backend": "guidance"}, "wants the backend"),
        ("structured-outputs", {"disable_additional_properties": 1}, {"disable_additional_properties": 0}, "wants the backend guidance"),
        ("watermark", {"key": 2**64}, {"key": 2**64 - 1}, "has more than 64 bits"),
    ],
)
def test_what_several_fields_say_together(flag: str, refused: dict[str, Any], taken: dict[str, Any], rule: str) -> None:
    assert any(rule in fault for fault in faults(f"--{flag}-config", refused))
    assert faults(f"--{flag}-config", taken) == []


def test_an_activity_that_stands_twice_is_refused() -> None:
    torch = {"profiler": "torch", "torch_profiler_dir": "/a"}
    assert faults("--profiler-config", torch | {"torch_profiler_activities": ["CPU", "CPU"]}) == [
        "--profiler-config.torch_profiler_activities holds an activity twice"
    ]
    assert faults("--profiler-config", torch | {"torch_profiler_activities": ["CPU", "CUDA"]}) == []


def test_a_rule_about_a_field_that_a_version_lacks_is_not_asked() -> None:
    assert faults("--profiler-config", {"proton_graph_attribution": True}, "0.29.0") == [
        "--profiler-config.proton_graph_attribution is no field of vLLM 0.29.0's ProfilerConfig"
    ]
