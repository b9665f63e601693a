"""The vLLM versions whose flags this operator knows."""

from typing import Final

SUPPORTED: Final = ("0.32.0",)
"""Newest first. A version is added when its flags and tables were compared with those here (facts/vllm.md names the differences that matter)."""

DEFAULT: Final = SUPPORTED[0]
"""What a service without engine.version runs."""
