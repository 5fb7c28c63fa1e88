# `make` alone says what there is. Every target sets up what it needs.
.DEFAULT_GOAL := help
.SILENT:

PYTHON_IN := .venv/bin/python
LOCAL := $(PYTHON_IN) -m deploy.local
HEADRACE := .venv/bin/headrace
NODES ?= 1
SEEDS ?= 1000

.PHONY: help
help: ## What there is
	sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(firstword $(MAKEFILE_LIST)) | while IFS='	' read -r name what; \
		do printf '  make %-10s %s\n' "$$name" "$$what"; done

.PHONY: demo
demo: dev ## A real job hops between an amd64 and an arm64 node, and its result proves that nothing was lost
	$(LOCAL).demo

.PHONY: test
test: dev ## All tests, with a real engine, registry and database server (ARGS= for pytest)
	$(LOCAL) test $(ARGS)

.PHONY: test-fast
test-fast: dev ## The tests that need no engine
	$(PYTHON_IN) -m pytest -m "not engine" $(ARGS)

.PHONY: sim
sim: dev ## Both real cores in a simulated world in which all fails, SEEDS=1000 times
	$(PYTHON_IN) -m tests.simulation.sim --seeds $(SEEDS)

.PHONY: replay
replay: dev need-SEED ## The story of the simulated world of SEED=
	$(PYTHON_IN) -m tests.simulation.replay $(SEED) $(if $(WORLDS),"$(WORLDS)")

.PHONY: stories
stories: dev ## Writes the stories of tests/simulation/stories anew
	$(PYTHON_IN) -m tests.simulation.storybook

.PHONY: rules
rules: dev ## Runs the simulator without one rule after the other; writes the table in ARCHITECTURE.md
	$(PYTHON_IN) -m tests.simulation.rules

.PHONY: chaos
chaos: dev ## Kills daemons and engines at each fault point; writes what comes of it into docs/chaos.md
	HEADRACE_CHAOS=write $(LOCAL) test tests/cluster/chaos/test_fault_points.py $(ARGS)

.PHONY: check
check: dev ## Lint, types, import contracts, proto lint, stub drift, the init's programs, imports of tests
	echo "· ruff" && .venv/bin/ruff check && .venv/bin/ruff format --check
	echo "· mypy" && .venv/bin/mypy
	echo "· import contracts" && .venv/bin/lint-imports
	sh deploy/check-proto.sh
	echo "· agent/init holds what init.c gives" && sh deploy/init.sh --check
	echo "· each test can be imported" && read=$$($(PYTHON_IN) -m pytest -qq --collect-only 2>&1) || \
		{ echo "$$read"; exit 1; }

.PHONY: init
init: ## Builds agent/init/ from init.c, with Debian's compilers for each architecture
	sh deploy/init.sh

.PHONY: up
up: dev ## A controller and an agent in the background (NODES=3 for more)
	$(LOCAL) up --nodes $(NODES)

.PHONY: down
down: dev ## Has jobs save, for a minute at most, and ends them; jobs go on with the next `make up`
	$(LOCAL) down

.PHONY: status
status: dev ## Nodes and jobs
	$(HEADRACE) nodes && echo && $(HEADRACE) jobs

.PHONY: nodes
nodes: dev ## Nodes
	$(HEADRACE) nodes

.PHONY: jobs
jobs: dev ## Jobs
	$(HEADRACE) jobs

.PHONY: submit
submit: dev need-JOB ## Submits JOB=examples/pi.yaml
	$(HEADRACE) submit $(JOB)

.PHONY: logs
logs: dev need-JOB ## The log of JOB=
	$(HEADRACE) logs $(JOB)

.PHONY: cancel
cancel: dev need-JOB ## Cancels JOB=
	$(HEADRACE) cancel $(JOB)

.PHONY: migrate
migrate: dev need-JOB ## Moves JOB= to the node TO= (without TO=, wherever it fits)
	$(HEADRACE) migrate $(JOB) $(if $(TO),--to $(TO)) --wait

.PHONY: drain
drain: dev need-NODE ## Moves everything away from NODE=, and lets nothing new come (DEADLINE=10m for an end)
	$(HEADRACE) drain $(NODE) $(if $(DEADLINE),--deadline $(DEADLINE)) --wait

.PHONY: undrain
undrain: dev need-NODE ## Lets jobs come to NODE= again
	$(HEADRACE) undrain $(NODE)

.PHONY: dev
dev: ## The environment in .venv, with everything for working on Headrace
	sh deploy/prepare.sh

.PHONY: proto
proto: dev ## Generates headrace/v1 from proto/
	sh deploy/proto.sh

.PHONY: images
images: dev ## Container images of agent and controller, for each architecture
	$(LOCAL) images

# Libraries that only benchmarks need: what they compare with, and what draws curves.
.PHONY: bench-tools
bench-tools: dev
	$(PYTHON_IN) -c 'import matplotlib, scipy' 2>/dev/null || \
		$(PYTHON_IN) -m pip install -qq --disable-pip-version-check --group bench

.PHONY: bench
bench: bench-tools ## Benchmarks, as ratios, against what can run on this machine; then the table of all (ARGS="1 14")
	$(PYTHON_IN) -m benchmarks $(ARGS)

.PHONY: curves
curves: bench-tools ## How costs grow with nodes, queue and jobs kept: into docs/benchmarks.jsonl and docs/plots/, 20 minutes
	$(PYTHON_IN) -m benchmarks.scale --curve all --publish $(ARGS)

.PHONY: table
table: bench-tools ## The table of all benchmarks, as each was measured last
	$(PYTHON_IN) -m benchmarks.table

# A variable that a target cannot do without.
need-%:
	test -n "$($*)" || { echo "$*= is missing; \`make\` says what it is" >&2; exit 2; }
