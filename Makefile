# Every target works on a fresh Debian 12 machine with git, make, Python >= 3.11 and Go >= 1.26, and does only what is not done yet.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: prerequisites demo down test lint test-unit test-integration e2e variants no-request-lost benchmark-runtime generate catalogue constraints help

PYTHON := .venv/bin/python
# Without -u progress would stay in a buffer when the output is a pipe, as in CI.
export PYTHONUNBUFFERED := 1
export PYTHONDONTWRITEBYTECODE := 1

# In the first second, before anything is installed.
prerequisites:
	@python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "error: missing: Python >= 3.11; apt-get install python3" >&2; exit 2; }
	@python3 -m e2e.cluster.prerequisites

help:
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

demo: prerequisites .venv/ready ## a cluster, the operator, a model, an answer, a scale-up, and how to go on
	@$(PYTHON) -m e2e.demo

down: ## remove the cluster: processes, namespaces, mounts, state
	@python3 -m e2e.cluster down

test: prerequisites lint test-unit test-integration e2e ## everything, from nothing

lint: .venv/ready ## ruff, mypy, import-linter, deptry
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) -m mypy operator/src runtime/src e2e tools benchmarks tests
	.venv/bin/lint-imports
	cd operator && ../.venv/bin/deptry src
	cd runtime && ../.venv/bin/deptry src

test-unit: .venv/ready ## pure functions and fakes at the edge: seconds
	$(PYTHON) -m pytest tests/unit

test-integration: prerequisites .venv/ready ## the operator on a real API server with its controllers, no node
	$(PYTHON) -m pytest tests/integration --numprocesses=2 --dist=loadfile --no-loadscope-reorder

e2e: prerequisites .venv/ready ## real node, real vLLM, real HPA
	$(PYTHON) -m pytest e2e

variants: prerequisites .venv/ready ## every service of e2e/variants.py in pods: about 45 minutes, so not part of `test`, which starts four of them there
	LLMFLEET_VARIANTS=all $(PYTHON) -m pytest e2e/test_variants.py -k on_the_node

no-request-lost: prerequisites .venv/ready ## ten thousand requests through every disruption, on two nodes: a quarter of an hour, so not part of `test`
	LLMFLEET_REQUESTS=10000 $(PYTHON) -m pytest e2e/test_no_request_is_lost.py

benchmark-runtime: prerequisites .venv/ready ## vLLM under launcher and middleware against vLLM alone, in ratios: about eight minutes, on an idle machine
	$(PYTHON) -m benchmarks.runtime

generate: .venv/ready ## crds/, the chart's copy of it and its values schema, docs/reference.md, docs/planning.md, docs/troubleshooting.md, the output in docs/cli.md
	.venv/bin/llmfleet crds --output-dir crds
	cp crds/*.yaml charts/llmfleet/files/
	$(PYTHON) -m llmfleet.server.values_schema > charts/llmfleet/values.schema.json
	.venv/bin/llmfleet crds --reference > docs/reference.md
	$(PYTHON) -m llmfleet.planning.documentation examples/facts/*.json > docs/planning.md
	$(PYTHON) -m tools.transcripts docs/cli.md
	$(PYTHON) -m tools.troubleshooting docs/troubleshooting.md

# "Triton is installed, but ..." on the way is vLLM's own remark about the machine.
catalogue: .venv/ready ## the flags of one vLLM version as package data: make catalogue VLLM=0.32.0
	@$(PYTHON) -m tools.catalogue $(VLLM)

constraints: .venv/ready ## renew constraints.txt to the newest releases
	{ sed '/^[^#]/,$$d' constraints.txt; .venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links --group pyproject.toml:dev operator/pyproject.toml runtime/pyproject.toml --extra inspect; } > constraints.new
	mv constraints.new constraints.txt

.venv/ready: pyproject.toml operator/pyproject.toml runtime/pyproject.toml constraints.txt
	@python3 -c 'import ensurepip' 2>/dev/null || { echo "- Debian package to install: python3-venv" >&2; apt-get update -qq; apt-get install -y -qq python3-venv >/dev/null; }
	@echo "- the project's Python environment (.venv) ..." >&2
	@rm -rf .venv && python3 -m venv .venv
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@.venv/bin/uv pip install --quiet --python $(PYTHON) --constraint constraints.txt --build-constraint constraints.txt \
	  --group dev --editable operator --editable 'runtime[inspect]'
	@touch $@
