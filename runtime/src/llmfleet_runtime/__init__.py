"""What runs beside vLLM inside the engine pod, as one zipapp on the standard library. docs/engine-pod.md is its contract with the operator."""

__version__ = "0.1.0"
