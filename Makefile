# make demo: install, train both models on moving shapes, write a report.
# make test: install, lint, check types, run all tests.
# make test-lowest: run all tests with the lowest versions that pyproject.toml accepts.
# make docs: build the documentation site into build/docs, examples included, with warnings as errors.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# By default glibc returns large blocks to the system after every step, which slows down training on a CPU.
export MALLOC_MMAP_THRESHOLD_ := 1073741824
export MALLOC_TRIM_THRESHOLD_ := 2147483647

# Without an NVIDIA GPU, torch's CPU builds save gigabytes of CUDA libraries. Where their index cannot be reached, the
# package index's own builds are installed.
CPU_INDEX := https://download.pytorch.org/whl/cpu
REACHABLE := import urllib.request; urllib.request.urlopen("$(CPU_INDEX)/torch/", timeout=5)
USE_CPU_INDEX = ! command -v nvidia-smi > /dev/null && $(PYTHON) -c '$(REACHABLE)' 2> /dev/null

.PHONY: install demo test test-lowest lint types unit docs clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	index=; if $(USE_CPU_INDEX); then index="--extra-index-url $(CPU_INDEX)"; fi; \
	$(BIN)/python -m pip install --quiet $$index --editable ".[flow]" --group dev
	touch $@

demo: install
	$(BIN)/vidgan demo --out runs/demo --overwrite

test: lint types unit

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: install
	$(BIN)/mypy

unit: install
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadgroup

# uv resolves to the lowest versions of direct dependencies; pip has no such mode.
test-lowest:
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet uv
	index=; if $(USE_CPU_INDEX); then index="--index $(CPU_INDEX) --index-strategy unsafe-best-match"; fi; \
	$(VENV)-lowest/bin/uv pip install --quiet --python $(VENV)-lowest/bin/python --resolution lowest-direct \
		$$index --editable ".[flow]" --group dev
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(VENV)-lowest/bin/python -m pytest -n 2 --dist loadgroup

docs: install
	$(BIN)/python -m pip install --quiet --editable ".[flow,docs]"
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx --fail-on-warning --keep-going --quiet -d build/doctrees docs build/docs
	@echo "documentation: build/docs/index.html"

clean:
	rm -rf $(VENV) $(VENV)-lowest build dist docs/gallery .mypy_cache .ruff_cache .pytest_cache
