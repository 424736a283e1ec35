# make book   environment, package and pages; says where they are
# make test   everything that guards the book
# make check  the fast part of it, under three minutes
# make torture  twenty kills, damaged files for a minute a loader, other threads, processors and versions; hours
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# uv installs where the machine has one, else pip: the same files, held to the same hashes. `make UV= book` takes pip.
UV ?= $(shell command -v uv 2>/dev/null)
INSTALL = $(if $(UV),$(UV) pip install --quiet --compile-bytecode --python $(BIN)/python,$(BIN)/python -m pip install --quiet --disable-pip-version-check)
# A lock file is complete, so nothing that it does not name is asked for: torch wants two packages that it leaves out.
define locked
$(INSTALL) --no-deps --require-hashes -r $(1)
endef
# make TORCH_INDEX=https://download.pytorch.org/whl/cpu book   torch from there, unhashed; nothing for CUDA; the rest as locked
ifdef TORCH_INDEX
define locked
$(INSTALL) --no-deps --index-url $(TORCH_INDEX) $$(grep -oE '^torch(vision)?==[^ ]+' $(1))
awk '/^[a-z]/ { keep = !/^(torch(vision)?==|cuda-|nvidia-)/ } keep' $(1) > $(VENV)/rest.txt
$(INSTALL) --no-deps --require-hashes -r $(VENV)/rest.txt
endef
endif
export OMP_NUM_THREADS ?= 1

.PHONY: book site test check torture gpu bench pdf offline links lab execute text notebooks lock clean

book: $(VENV)/.book site
	@echo
	@echo "The book is built: open $(CURDIR)/_build/html/index.html"
	@echo "or serve it with:  $(BIN)/python -m http.server -d _build/html"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
	  { echo "Python 3.11, 3.12 or 3.13 is needed; name one with: make PYTHON=python3.12 book"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.book: requirements.txt pyproject.toml | $(BIN)/python
	$(call locked,requirements.txt)
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.test: requirements-test.txt $(VENV)/.book
	$(call locked,requirements-test.txt)
	@touch $@

site: $(VENV)/.book
	$(BIN)/jupyter-book build --warningiserror --keep-going --quiet .

test: $(VENV)/.test
	$(BIN)/python scripts/test.py lint types imports unit site notebooks browser

check: $(VENV)/.test
	$(BIN)/python scripts/test.py lint types imports fast

torture: $(VENV)/.test
	FIRSTHAND_TORTURE=60 $(BIN)/python scripts/test.py torture
	$(BIN)/python scripts/variants.py

gpu: $(VENV)/.test
	$(BIN)/python scripts/test.py gpu

bench: $(VENV)/.test
	@for script in benchmarks/*.py; do $(BIN)/python $$script || exit 1; done

pdf: $(VENV)/.test site
	$(BIN)/python scripts/pdf.py

# The site as one file that opens from a folder, without a server.
offline: site
	$(BIN)/python scripts/offline.py

links: $(VENV)/.book
	$(BIN)/jupyter-book build --builder linkcheck --path-output _build/links .

lab: $(VENV)/.book
	$(BIN)/jupyter lab --notebook-dir=notebooks

execute: $(VENV)/.book
	$(BIN)/python scripts/execute.py

# A notebook and notebooks/text/ hold the same cells: text from notebooks, or notebooks from text.
text notebooks: $(VENV)/.book
	$(BIN)/python scripts/notebook_text.py $@

# The two lock files, from the ranges in pyproject.toml; uv comes from PyPI.
LOCK = UV_CUSTOM_COMPILE_COMMAND="make lock" uv pip compile --universal --fork-strategy fewest --python-version 3.11 \
       --generate-hashes --no-emit-index-url --no-emit-find-links --quiet pyproject.toml
lock:
	$(LOCK) --extra book --output-file requirements.txt
	$(LOCK) --extra book --extra coursework --extra test --constraint requirements.txt --output-file requirements-test.txt

clean:
	rm -rf _build .pytest_cache .ruff_cache .mypy_cache .hypothesis
	find src tests scripts -name __pycache__ -type d -prune -exec rm -rf {} +
