"""The generator of the flag catalogues in operator/src/llmfleet/vllm/catalogue."""
