# Longshore: everything a person types. `make run` and `make test` need nothing but Python 3.11+.
.PHONY: run test check format bench docs lock fuzz

run:
	@scripts/environment runtime
	@exec .venv/bin/longshore serve

test:
	@scripts/environment development
	@.venv/bin/pytest $(PYTEST)

check:
	@scripts/environment development
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy
	.venv/bin/lint-imports
	.venv/bin/python docs/generate.py --check

format:
	@scripts/environment development
	.venv/bin/ruff format .
	.venv/bin/ruff check --fix .

bench:
	@scripts/environment development
	@.venv/bin/python -m bench $(BENCH)

# Writes the generated parts of docs/ anew.
docs:
	@scripts/environment development
	.venv/bin/python docs/generate.py

# The randomised property tests for as long as you like: make fuzz SECONDS=3600
SECONDS ?= 600
fuzz:
	@scripts/environment development
	@LONGSHORE_FUZZ_SECONDS=$(SECONDS) .venv/bin/pytest -m fuzz --timeout=0 -s

# Writes both lock files anew. A release has to be a week old: time for the world to notice a bad one.
lock:
	uv pip compile --quiet --universal --no-annotate --no-header --generate-hashes --exclude-newer "1 week" pyproject.toml -o requirements.lock
	uv pip compile --quiet --universal --no-annotate --no-header --generate-hashes --exclude-newer "1 week" pyproject.toml --group dev -o requirements-dev.lock
