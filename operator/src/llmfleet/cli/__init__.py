"""The command `llmfleet`: the operator's process, and what people and CI ask without a cluster."""
