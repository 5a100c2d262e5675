# One verb a line: `make help` lists them. The first one that needs it makes .venv.
PYTHON ?= python3
BIN := .venv/bin
DEMO := .venv/demo
INSTALLED := .venv/installed
export MUJOCO_GL ?= egl

.DEFAULT_GOAL := help
.PHONY: help install format lint typecheck test pytest demo bench gpu evaluate docs clean egl

help: ## list the verbs
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

install: $(INSTALLED) ## make .venv with everything the other verbs need

format: $(INSTALLED) ## rewrite the code in the house style
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(INSTALLED) ## check style and common errors
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

typecheck: $(INSTALLED) ## check types strictly
	$(BIN)/mypy

# Types side by side with the tests: a first check of them would keep one of two cores idle.
test: lint egl ## lint, typecheck, and run the tests
	@$(MAKE) --no-print-directory -k -j 2 typecheck pytest

pytest: $(INSTALLED)
	$(BIN)/python -m pytest -n 2 --dist worksteal

demo: $(DEMO) egl ## drive the simulated Sawyer over ROS 2 and write a report
	$(BIN)/robomamba demo

bench: $(INSTALLED) ## time the scan, whole policies, replays and the nodes on this machine
	$(BIN)/robomamba bench scan
	$(BIN)/robomamba bench policies
	$(BIN)/robomamba bench replay
	$(BIN)/robomamba bench nodes

gpu: $(INSTALLED) ## parity, tests and times on this machine's GPU, in less than eight minutes
	$(BIN)/robomamba bench gpu --json gpu.json

evaluate: $(DEMO) egl ## success of the shipped policy in simulation
	$(BIN)/robomamba evaluate models/anolevla-mt10

docs: .venv-docs/installed ## build the pages of docs/ as a site, with broken links as errors
	.venv-docs/bin/mkdocs build --strict --config-file .ci/mkdocs.yml
	@echo out/site/index.html

# In an environment of its own: nothing that runs needs it.
.venv-docs/installed: Makefile
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet --disable-pip-version-check 'mkdocs-material>=9.6,<10'
	touch $@

clean: ## remove everything the other verbs made
	rm -rf .venv .venv-docs build install log .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# torch is named by version: that build is the one the tests run with. One pip call, so that one
# resolution covers everything; bytecode is written for what is imported, not for all of torch.
PIP := -m pip install --quiet --disable-pip-version-check --no-compile torch==2.13.0 --editable

# Without what only tests, training and tools need.
$(DEMO): setup.py Makefile
	$(PYTHON) -m venv .venv
	$(BIN)/python $(PIP) '.[demo]'
	touch $@

$(INSTALLED): setup.py Makefile
	$(PYTHON) -m venv .venv
	$(BIN)/python $(PIP) '.[dev]'
	touch $(DEMO) $@

egl:
	@$(PYTHON) -c "import ctypes; ctypes.CDLL('libEGL.so.1')" 2>/dev/null || { \
		echo "The simulation renders with EGL, and libEGL.so.1 is not on this machine." >&2; \
		echo "Remedy: apt-get install libegl1 libgl1-mesa-dri" >&2; exit 1; }
