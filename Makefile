# Commands of the project. `make help` lists them; each makes the virtual environment it needs.

# The interpreter: python3 if it is new enough, else the newest that is there.
ifeq ($(origin PYTHON), undefined)
PYTHON := $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo $$p && break; \
  done)
endif
# Its version as "311", or nothing if it is not there or older than 3.11.
VERSION := $(if $(PYTHON),$(shell $(PYTHON) -c \
  'import sys; v = sys.version_info; print("%d%d" % v[:2] if v >= (3, 11) else "")' 2>/dev/null))

LOCK := $(wildcard requirements/py$(VERSION).txt)
DOCS_LOCK := requirements/docs_py$(VERSION).txt
VENV := .venv-py$(VERSION)
RUN := $(VENV)/bin/python
PIP := $(RUN) -m pip install --quiet --disable-pip-version-check --no-compile
TOOLS := uv==0.13.9 cyclonedx-bom==7.5.0 pip-audit==2.10.1

# Without compiled modules each start of a process would compile the 1,900 files of JAX and others.
export PYTHONDONTWRITEBYTECODE :=

COMPILE := .venv-tools/bin/uv pip compile setup.py --generate-hashes --universal --fork-strategy \
  fewest --no-python-downloads --quiet --custom-compile-command 'make lock' $(UV_ARGS)

WORKDIR := runs/$(or $(NAME),quickstart)
PYTEST_ARGS ?= -n 2 --dist loadscope --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help quickstart test test-fast lint format docs lock sbom audit venv version clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile
	@echo 'PYTHON=... chooses the interpreter (3.11 or newer), now: $(or $(PYTHON),none found)'

quickstart: venv  ## pre-train on the built-in images and score it (NAME=run ARGS="--config.a.b=v")
	@test -z '$(NAME)' || test ! -e $(WORKDIR) || test -e $(WORKDIR)/made_by_quickstart || { \
	  echo 'error: $(WORKDIR) is there and make quickstart did not make it; give another NAME' >&2; \
	  exit 2; }
	rm -rf $(WORKDIR)
	mkdir -p $(WORKDIR)
	touch $(WORKDIR)/made_by_quickstart
	$(RUN) train.py --config=shapes/quickstart --workdir=$(WORKDIR) $(ARGS)
	$(RUN) eval.py --config=eval/quickstart --workdir=$(WORKDIR)
	@echo 'pictures: $(WORKDIR)/views.png (what it was trained on),' \
	  '$(WORKDIR)/eval/quickstart_checkpoint_h.png (what it has learnt)'

test: venv  ## run all tests (PYTEST_ARGS="-n 4" to change how)
	$(RUN) -m pytest $(PYTEST_ARGS)

test-fast: venv  ## run the tests that are not marked slow
	$(RUN) -m pytest -m "not slow" $(PYTEST_ARGS)

lint: venv  ## check style and layout
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

format: venv  ## lay the code out and sort imports
	$(RUN) -m ruff check --select I --fix .
	$(RUN) -m ruff format .

docs: $(VENV)/docs  ## build the site into build/docs; any warning is an error
	$(RUN) -m sphinx -b html -W --keep-going -n -q -E docs build/docs
	@echo 'the site: build/docs/index.html'

# The site's lock is held to the versions of the tests' lock, so that both fit into one environment.
lock: .venv-tools/installed  ## make the lock files anew (UV_ARGS=--upgrade takes the newest versions)
	for v in 3.11 3.12; do \
	  py=py$$(echo $$v | tr -d .); \
	  $(COMPILE) --python-version $$v --extra test -o requirements/$$py.txt || exit 1; \
	  $(COMPILE) --python-version $$v --extra docs --constraints requirements/$$py.txt \
	    -o requirements/docs_$$py.txt || exit 1; \
	done

# What a run needs, in the versions of the lock, in an environment of its own: its metadata has the
# licences and who needs whom.
sbom: .venv-tools/installed  ## list what a run needs, with licences, into build/ (CycloneDX)
	@test -n '$(LOCK)' || { echo 'error: no lock file for Python $(VERSION)' >&2; exit 2; }
	mkdir -p build
	$(COMPILE) --python-version $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])') \
	  --extra tfds --constraints $(LOCK) -o build/run_py$(VERSION).txt
	$(PYTHON) -m venv --clear --without-pip build/sbom_env
	.venv-tools/bin/python -m pip --python build/sbom_env install --quiet \
	  --disable-pip-version-check --require-hashes -r build/run_py$(VERSION).txt
	.venv-tools/bin/cyclonedx-py environment --output-reproducible --short-PURLs \
	  -o build/sbom_py$(VERSION).json build/sbom_env/bin/python
	@echo 'the bill of materials: build/sbom_py$(VERSION).json'

audit: .venv-tools/installed  ## look the lock files up among known weaknesses (asks pypi.org)
	for lock in requirements/*.txt; do \
	  .venv-tools/bin/pip-audit --disable-pip --require-hashes -r $$lock $(AUDIT_ARGS) || exit 1; \
	done

.venv-tools/installed: Makefile
	$(PYTHON) -m venv --clear .venv-tools
	.venv-tools/bin/python -m pip install --quiet --disable-pip-version-check $(TOOLS)
	touch $@

venv: $(VENV)/installed  ## make the virtual environment

version:  ## print the interpreter's version, e.g. 311
	@echo $(VERSION)

clean:  ## remove environments and caches; runs stay
	rm -rf .venv-* .ruff_cache build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/installed: $(or $(LOCK),setup.py)
	@test -n '$(VERSION)' || { echo 'error: $(or $(PYTHON),python3) is no Python 3.11 or newer;' \
	  'install one and set PYTHON=, e.g. make test PYTHON=python3.12' >&2; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
ifneq ($(LOCK),)
	$(PIP) --require-hashes -r $(LOCK)
	$(PIP) --no-deps -e .
else
	@echo 'note: no lock file for Python $(VERSION) (there are: $(notdir $(wildcard requirements/py*)));' \
	  'installing the newest versions that setup.py allows'
	$(PIP) -e '.[test]'
endif
	touch $@

$(VENV)/docs: $(VENV)/installed $(if $(LOCK),$(DOCS_LOCK))
ifneq ($(LOCK),)
	$(PIP) --require-hashes -r $(DOCS_LOCK)
else
	$(PIP) -e '.[docs]'
endif
	touch $@
