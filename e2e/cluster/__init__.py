"""A real Kubernetes cluster on one bare machine, without a container engine's daemon.

Two ways in: `python -m e2e.cluster up` starts a whole cluster with a node; `e2e.cluster.controlplane.ControlPlane` starts an API server without a node
for integration tests. Only the standard library is imported, so any Python >= 3.11 runs it before anything is installed.
"""
