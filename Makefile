# Two commands for a newcomer: `make run` and `make test`. Needs Python 3.11+, python3-venv and make.
PYTHON ?= python3
VENV := .venv
PEERS := .venv-peers
FREQTRADE := .venv-freqtrade
CASES ?= 1000000
SEED ?= 1
SEEDS ?= 300
HOURS ?= 1
KILLS ?= 200
POINTS ?= 100000
BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest

.PHONY: run test check ci peers peers-freqtrade fuzz kills simulate crashes planted lock clean bench help

help: ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

run: $(VENV)/.run ## start the daemon in the sandbox world: no key, no network, made money
	@exec $(BIN)/aether run --world sandbox

test: $(VENV)/.dev ## the test suite
	$(PYTEST) -n 2 --dist loadfile tests

check: $(VENV)/.dev ## format, lint, types, house rules, spelling
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(PYTEST) -q tests/house
	$(BIN)/codespell README.md docs config aether tests

ci: $(VENV)/.fuzz ## what `make test` leaves out: longer properties, fuzzing, a simulated day, other people's clients
	TEST_PROFILE=ci $(PYTEST) -n 2 --dist loadfile tests/property tests/wire tests/simulation/test_day_of_trading.py tests/simulation/test_rate_storm.py tests/simulation/test_crash_points.py tests/simulation/test_power_cuts.py
	$(BIN)/python -m tests.fuzz --cases 10000
	$(BIN)/python -m tests.fuzz.coverage_guided --cases 10000
	$(BIN)/python -m tests.kills --kills 5
	$(BIN)/python -m tests.planted --replay --jobs 2
	$(MAKE) peers

peers: $(VENV)/.run $(PEERS)/.done ## other people's clients on the sandbox
	$(PEERS)/bin/python -m pytest --confcutdir=tests/peers tests/peers

peers-freqtrade: $(VENV)/.run $(PEERS)/.done $(FREQTRADE)/.done ## a freqtrade bot on the sandbox, dry and live
	$(PEERS)/bin/python -m pytest --confcutdir=tests/peers tests/peers/freqtrade/trades.py

fuzz: $(VENV)/.fuzz ## wound what both decoders read, CASES=1000000 times from SEED=1, then guided by coverage
	$(BIN)/python -m tests.fuzz --cases $(CASES) --seed $(SEED)
	$(BIN)/python -m tests.fuzz.coverage_guided --cases $(CASES) --seed $(SEED)

kills: $(VENV)/.dev ## SIGKILL the real daemon KILLS=200 times at moments of SEED=1, and compare journal and account
	$(BIN)/python -m tests.kills --kills $(KILLS) --seed $(SEED)

simulate: $(VENV)/.dev ## the whole daemon in SEEDS=300 made worlds for HOURS=1 each, with all that goes wrong there
	$(BIN)/aether simulate --first-seed $(SEED) --seeds $(SEEDS) --hours $(HOURS)

crashes: $(VENV)/.dev ## cut the power of the journal's disk POINTS=100000 times from SEED=1; goes on where it was stopped
	$(BIN)/python -m tests.crash_points --points $(POINTS) --seed $(SEED) --state .crash-points-$(SEED).json

planted: $(VENV)/.dev ## search a seed of the simulator for each planted defect that has none yet; goes on where it was stopped
	$(BIN)/python -m tests.planted --jobs 2

bench: $(VENV)/.dev $(PEERS)/.done ## speed and memory, each figure beside a peer or a floor of the same run
	$(BIN)/python tests/bench/run.py

$(VENV)/.run: requirements.lock pyproject.toml
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	@echo "installing the locked dependencies into $(VENV) (once)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@echo "installing the locked test tools into $(VENV) (once)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.fuzz: requirements-fuzz.lock $(VENV)/.dev
	@echo "installing the locked fuzzer into $(VENV) (once)" >&2
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.lock
	@touch $@

$(PEERS)/.done: requirements-peers.lock
	@test -d $(PEERS) || $(PYTHON) -m venv $(PEERS)
	@echo "installing other people's clients into $(PEERS) (once)" >&2
	@$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-peers.lock
	@touch $@

$(FREQTRADE)/.done: tests/peers/freqtrade/requirements.lock
	@test -d $(FREQTRADE) || $(PYTHON) -m venv $(FREQTRADE)
	@echo "installing freqtrade into $(FREQTRADE) (once)" >&2
	@$(FREQTRADE)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

lock: ## write the lock files anew (needs uv on the PATH)
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  pyproject.toml --group build -o requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  pyproject.toml --group dev -o requirements-dev.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --group peers -o requirements-peers.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --group freqtrade -o tests/peers/freqtrade/requirements.lock
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
	  --group fuzz -o requirements-fuzz.lock

clean: ## forget the environment and the caches
	rm -rf $(VENV) $(PEERS) $(FREQTRADE) .mypy_cache .ruff_cache .pytest_cache .hypothesis
