# Every target installs what it needs. `make demo` and `make test` are the two commands of the README.
SHELL := /bin/bash
.DEFAULT_GOAL := help
export UV_PROJECT_ENVIRONMENT := .venv
# Where a machine forbids bytecode every start of Python compiles what it imports, which takes longer than all the rest.
unexport PYTHONDONTWRITEBYTECODE
# uv from PATH, else one of our own from the package index.
UV := $(shell command -v uv || echo .bootstrap/bin/uv)
PY := .venv/bin/python
# Tests that leave the machine alone run in as many processes; 5 is pytest's word for "no tests selected".
WORKERS ?= auto

.PHONY: help setup demo demo-cluster test lint format crds docs cluster-up cluster-down kind-up bench clean

help: ## Say what there is
	@sed -nE 's/^([a-z-]+):.*## (.*)/\1\t\2/p' $(MAKEFILE_LIST) | while IFS=$$'\t' read -r target text; do printf '%-14s%s\n' "$$target" "$$text"; done

.bootstrap/bin/uv:
	python3 -m venv .bootstrap
	.bootstrap/bin/python -m pip install --quiet --disable-pip-version-check 'uv>=0.8'

setup: $(filter .bootstrap/%,$(UV)) ## Install everything for development into .venv
	@$(UV) sync --quiet --frozen --all-extras --all-groups --compile-bytecode

demo: $(filter .bootstrap/%,$(UV)) ## Run the examples here: no cluster, no root
	@$(UV) sync --quiet --frozen --inexact --group examples
	@$(PY) examples/demo.py

demo-cluster: setup ## The operator on a Kubernetes of its own, and one run from apply to Succeeded (as root)
	@$(PY) -m tests.e2e.demo

test: setup ## The whole suite, a real cluster included (as root; else what needs a node is skipped aloud)
	$(PY) -m pytest -m "not machine" -n $(WORKERS) --dist loadfile $(PYTEST) || [ $$? = 5 ]
	$(PY) -m pytest -m machine $(PYTEST) || [ $$? = 5 ]

lint: setup ## ruff, mypy --strict, import-linter
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports

format: setup ## Format the code, mend what ruff can mend
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix .

crds: setup ## Generate crds/ from the models
	$(PY) -m mlp.resources

docs: setup ## Generate docs/compatibility.md from the comparison's rows
	$(PY) -m tests.compatibility

bench: setup ## Measure: the operator on a control plane of its own, runs' starts (as root), mlp run, environments and data beside their peers (15 minutes)
	@$(PY) -m bench

cluster-up: setup ## Start a Kubernetes here, without Docker (as root), and say how to use it
	@kubeconfig=$$($(PY) -m tests.cluster up) && echo "export KUBECONFIG=$$kubeconfig"

cluster-down: setup ## End it, and remove everything of it
	@$(PY) -m tests.cluster down

kind-up: ## The same for people with Docker: a kind cluster with the operator in it
	kind get clusters | grep -qx mlp || kind create cluster --config kind-config.yaml --wait 120s
	docker build -f runner/Dockerfile -t mlp-runner:0.1.0 .
	docker build -f operator/Dockerfile -t mlp-operator:0.1.0 .
	kind load docker-image mlp-runner:0.1.0 mlp-operator:0.1.0 --name mlp
	kubectl --context kind-mlp apply -f crds -f deploy/operator.yaml

clean: ## Remove what the targets made here; caches of the machine stay
	rm -rf .venv .bootstrap .mypy_cache .pytest_cache .ruff_cache .import_linter_cache build dist site
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
