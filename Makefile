# The same verbs here and in CI; each sets up its own .venv on a fresh machine.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

PAGE := src/glnet/viewing/page

.PHONY: demo page test check bench bench-gpu format clean
.DEFAULT_GOAL := test

$(READY): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "glnet needs Python 3.11 or newer; call make PYTHON=/path/to/python3.11" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@

demo: $(READY)  ## train on drawn scenes, segment a large map, show what each branch saw
	$(BIN)/glnet demo --overwrite

$(PAGE)/vendor/openseadragon.min.js: $(PAGE)/package-lock.json $(PAGE)/build.mjs
	@if command -v npm > /dev/null; \
	then cd $(PAGE) && npm ci --ignore-scripts --no-audit --no-fund && npm run build; \
	else echo "no npm (Node.js 20): glnet view has no page, its tests are left out" >&2; fi

page: $(PAGE)/vendor/openseadragon.min.js  ## what the page of glnet view takes from npm

test: $(READY) page  ## every test
	$(BIN)/pytest -n auto --maxprocesses=8 --dist=worksteal

check: $(READY)  ## style, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

BENCHMARKS := training_step training_memory micro_batch waiting forms host vectors thumbnail \
  spooling any_size kills cluster_kills scaling

bench: $(READY)  ## measure, and write dated files to benchmarks/results; IMAGE=... to name one
	$(BIN)/pip install --quiet --editable '.[dev,bench]'
	$(BIN)/python -m benchmarks.scene $(IMAGE)
	for name in $(BENCHMARKS); do $(BIN)/python -m benchmarks.$$name || exit 1; done

bench-gpu: $(READY)  ## the same for the memory of predictions on a CUDA GPU
	$(BIN)/python -m benchmarks.gpu

format: $(READY)  ## mend what ruff can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove what the verbs made
	rm -rf $(VENV) $(PAGE)/node_modules $(PAGE)/vendor demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
