"""Serves demand as custom.metrics.k8s.io/v1beta2 to the API server's aggregator, and to nobody else."""
