# Every target does its own set-up: an environment in .venv with all that it needs, made once and again when
# pyproject.toml changes. Say `make PYTHON=/path/to/python ...` to choose the interpreter.

VENV := .venv
READY := $(VENV)/.ready

.DEFAULT_GOAL := help
.PHONY: help demo test install clean

help:
	@echo "make demo     put real questions to a real model, and check its answers"
	@echo "make test     format, lint, types, and tests with coverage"
	@echo "make install  only make the environment in $(VENV)"
	@echo "make clean    remove the environment and everything that was built (pulled models stay)"

demo: $(READY)
	@$(VENV)/bin/toolverifier demo

test: $(READY)
	@scripts/check.sh $(VENV)

install: $(READY)

$(READY): pyproject.toml scripts/install.sh
	@PYTHON="$(PYTHON)" scripts/install.sh $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .coverage .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
