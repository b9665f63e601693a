"""llmfleet: a Kubernetes operator for fleets of vLLM servers."""
