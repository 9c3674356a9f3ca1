# Two commands are enough: `make demo` and `make test`. Each makes .venv first.
SUPPORTED := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c '$(SUPPORTED)' 2>/dev/null && { echo $$p; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JS := toolkit/views/js

.PHONY: help install demo lab test lint types js soak bench clean

help:
	@echo "make demo   simulated exchange, bot, server and dashboard on port 9765"
	@echo "make test   all checks and tests"
	@echo "make lab    JupyterLab on the notebooks"
	@echo "make soak   an hour of kills, cuts, outages, garbage and storms"
	@echo "make bench  load test and benchmarks, a quarter of an hour on an idle machine"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt hatch_build.py $(wildcard $(JS)/src/*) $(wildcard $(JS)/package*.json)
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(SUPPORTED)' || \
		{ echo "Python 3.11 to 3.13 is needed; try: make PYTHON=path/to/python3.12"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV); the first time takes a minute or two"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@command -v npm >/dev/null || echo "Node is missing: live charts are drawn by Bokeh instead, JavaScript tests are skipped"
	@touch $(STAMP)

demo: install
	@$(BIN)/toolkit serve --symbol AAPL --symbol MSFT --symbol BTC/USD

lab: install
	@$(BIN)/toolkit lab

# Packages that only JavaScript tests want; without npm those tests say so and are skipped.
js: install
	@if command -v npm >/dev/null; then \
		for folder in tests/js apps/react; do \
			test $$folder/node_modules/.package-lock.json -nt $$folder/package-lock.json || \
				npm --prefix $$folder ci --silent --no-audit --no-fund; \
		done; \
	else echo "npm is missing: JavaScript tests are skipped"; fi

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --cache-dir .ruff_cache/imports

types: install
	@$(BIN)/mypy

test: install js lint types
	@$(BIN)/python -m pytest -n 2 --dist loadgroup

# Proof that takes too long for every change.
soak: install
	@$(BIN)/python -m tests.soak.delivery --cycles 1000
	@$(BIN)/python -m tests.soak.cluster --outage 10
	@$(BIN)/python -m tests.soak.fuzz --examples 2000
	@$(BIN)/python -m tests.soak.dask --rounds 5
	@$(BIN)/python -m tests.soak.storm --minutes 10000 --kills 200
	@$(BIN)/python -m tests.soak.parity --minutes 600 --kills 30
	@$(BIN)/python -m tests.soak.overfitting
	@EFFORT=20 $(BIN)/python -m pytest --timeout 1800 \
		tests/core/test_batch.py tests/core/test_engine.py tests/exchange/test_properties.py \
		tests/research/parity/test_properties.py tests/streaming/gate/test_limits.py \
		tests/streaming/hub/test_hub_model.py tests/streaming/relay/test_relay_model.py \
		tests/research/vbt/test_vectorbt.py
	@$(BIN)/toolkit loadtest --scenario D --minutes 10 --slow 5 --churn 5 --sleepy 5 --hostile 5

bench: install
	@$(BIN)/python -m tests.benchmarks.streaming
	@$(BIN)/python -m tests.benchmarks.client
	@$(BIN)/python -m tests.benchmarks.compression
	@$(BIN)/python -m tests.benchmarks.cluster
	@$(BIN)/python -m tests.benchmarks.decision
	@$(BIN)/python -m tests.benchmarks.sweep

clean:
	rm -rf $(VENV) $(JS)/node_modules tests/js/node_modules apps/react/node_modules apps/react/dist build dist
