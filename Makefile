# The project's tasks. `make help` lists them. Each one sets up what it needs, once: a virtual environment per Python
# version under .venv/, the dependencies, an editable install, and the extensions compiled in place beside their sources.
#
#   PYTHON=python3.13   another interpreter (3.11 or later); environments do not disturb each other
#   ARGS='-k timers'    further arguments for the tool behind the task
#   CC=clang            another C compiler;  YIELDLOOP_PURE=1  build nothing, as on a machine without a compiler

PYTHON ?= python3
ARGS ?=

TAG := $(shell $(PYTHON) -c 'import sys, sysconfig; print("%d.%d%s" % (sys.version_info[0], sys.version_info[1], "t" if sysconfig.get_config_var("Py_GIL_DISABLED") else ""))' 2>/dev/null)
VENV := .venv/$(or $(TAG),none)
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check -qq
SOURCES := setup.py $(shell find src/yieldloop -name '*.py' -o -name '*.pxd' -o -name '*.pyx' -o -name '*.h' 2>/dev/null)
# One word on what was built, then the reason if it is "pure"; written by the build, read by the tests.
VERDICT := $(VENV)/verdict

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help run test soak build page docs bench conformance peers lint typecheck format clean distclean FORCE

help: ## list the tasks
	@echo "usage: make TASK [PYTHON=python3.13] [ARGS='...']"; echo
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run: $(VERDICT) ## run the main job: mirror a real file tree on stock asyncio, yieldloop interpreted and compiled
	@$(PY) examples/side_by_side.py $(ARGS)

test: $(VERDICT) ## run the tests, compiled leg and pure leg (ARGS='tests/test_x.py -k name' for some of them)
	@$(PY) .ci/legs "$$(cat $(VERDICT))" $(ARGS)

page: ## build the web page of watch, open and learn out of web/ (needs Node; the result is committed)
	@command -v npm >/dev/null || { echo "make page needs Node 20 or later with npm; only who changes web/ needs it."; exit 1; } >&2
	@cd web && npm ci --silent && npm run --silent build

docs: $(VERDICT) $(VENV)/docs.stamp ## build the documentation site, guide included: build/docs/index.html
	@rm -rf build/docs && $(PY) -m sphinx -W --keep-going -q -b html -c docs/site $(ARGS) . build/docs/en
	@$(PY) -m sphinx -W --keep-going -q -t zh -b html -c docs/site $(ARGS) . build/docs/zh
	@cp docs/site/index.html build/docs/ && echo "The site is build/docs/index.html."

soak: $(VERDICT) ## run everything mixed under random faults for 10 minutes: all must stay flat (ARGS='--minutes 1 --pure')
	@$(PY) -m tests.soak $(ARGS)

build: $(VERDICT) ## compile the extensions in place (without a C compiler: say so and stay pure)
	@echo "yieldloop is built: $$(cat $(VERDICT))"

bench: $(VERDICT) $(VENV)/bench.stamp ## measure against stock asyncio, uvloop and the other peers
	@$(PY) bench/run.py $(ARGS)

conformance: $(VERDICT) ## run CPython's own asyncio tests against yieldloop (needs the interpreter's `test` package)
	@$(PY) tests/conformance/run.py $(ARGS)

peers: $(VERDICT) ## run other projects' own tests on yieldloop (downloads them: see tests/peers/peers.toml)
	@$(PY) tests/peers/run.py $(ARGS)

lint: $(VENV)/lint.stamp ## check style with ruff
	@$(PY) -m ruff check $(ARGS) src tests bench examples guide .ci/legs .ci/compiler setup.py

format: $(VENV)/lint.stamp ## let ruff repair what it can
	@$(PY) -m ruff check --fix $(ARGS) src tests bench examples guide setup.py

typecheck: $(VENV)/lint.stamp ## check types with mypy, strictly
	@$(PY) -m mypy $(ARGS)

clean: ## remove build products (the environments stay)
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find src \( -name '*.so' -o -name '*.c' -o -name '*.egg-info' \) -prune -exec rm -rf {} +
	@find src tests bench examples -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true
	@rm -f .venv/*/verdict .venv/*/install.stamp

distclean: clean ## remove the environments too
	@rm -rf .venv

# --- set-up -------------------------------------------------------------------------------------------------------------

# The environment. Some systems ship Python without ensurepip (Debian: python3-venv); where pip itself is there, it can
# fill an environment from outside.
$(VENV)/venv.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	  echo "yieldloop needs Python 3.11 or later, and PYTHON=$(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo not there)."; \
	  echo "Name another one: make $(MAKECMDGOALS) PYTHON=python3.13"; exit 1; } >&2
	@echo "==> making the environment $(VENV) ($$($(PYTHON) --version))"
	@rm -rf $(VENV) && mkdir -p $(dir $(VENV))
	@$(PYTHON) -m venv $(VENV) >$(VENV).log 2>&1 || { \
	  rm -rf $(VENV) && $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(PY) install -q pip; \
	} >>$(VENV).log 2>&1 || { cat $(VENV).log; rm -rf $(VENV); \
	  echo "No virtual environment could be made. On Debian and Ubuntu: apt-get install python3-venv"; exit 1; } >&2
	@rm -f $(VENV).log; touch $@

# The dependencies, and the package itself as an editable install without extensions: those are compiled by the next step,
# where a failure is easy to read and a changed file rebuilds only what depends on it.
$(VENV)/install.stamp: pyproject.toml $(VENV)/venv.stamp
	@echo "==> installing the tools and libraries into $(VENV)"
	@$(PIP) install 'setuptools>=77' 'cython>=3.1'
	@YIELDLOOP_PURE=1 $(PIP) install --no-build-isolation --editable '.[test]'
	@touch $@

# What there is to compile with: asked every time, and its file is only touched when the answer is another one.
$(VENV)/tools: $(VENV)/venv.stamp FORCE
	@$(PY) .ci/compiler >$@.new; if cmp -s $@.new $@; then rm -f $@.new; else mv -f $@.new $@; fi

FORCE:

# The extensions. Without a compiler (or Python's headers) this is no failure: the .py files run as they are. With one,
# an error or a Cython warning is a failure.
$(VERDICT): $(SOURCES) $(VENV)/tools $(VENV)/install.stamp
	@verdict="$$(cat $(VENV)/tools)"; \
	case "$$verdict" in \
	  compiled) echo "==> compiling the extensions in place"; \
	    $(PY) setup.py --quiet build_ext --inplace >$(VENV)/build.log 2>&1 || { cat $(VENV)/build.log; \
	      echo "The build failed. (YIELDLOOP_PURE=1 make $(MAKECMDGOALS) runs the sources as they are.)"; exit 1; } >&2;; \
	  *) echo "==> NOTHING IS COMPILED, yieldloop runs as plain Python: $${verdict#pure: }";; \
	esac; \
	echo "$$verdict" >$@

$(VENV)/bench.stamp: bench/requirements.txt $(VENV)/install.stamp
	@echo "==> installing the peers to measure against"
	@$(PIP) install -r bench/requirements.txt
	@$(PY) bench/run.py --setup
	@touch $@

$(VENV)/docs.stamp: $(VENV)/install.stamp
	@YIELDLOOP_PURE=1 $(PIP) install --no-build-isolation --editable '.[docs]'
	@touch $@

$(VENV)/lint.stamp: $(VENV)/install.stamp
	@$(PIP) install 'ruff>=0.9' 'mypy>=1.14'
	@touch $@
