# The commands of this project. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help

PLAN ?= workloads/smoke.toml
TIME ?= 60s
SEED ?=
# Runs of a plan that were valid and are kept, the newest (those that failed are kept beside them, up to fifty).
KEEP ?= 20
ARGS ?=
SIM ?= workloads/swarm.toml
# The release with which `make old-roll` begins: the first one.
OLD ?= 0dedacf
SEEDS ?= 1..3001
STORE_RUNS ?= 20
BUDGET ?= 2h
HARNESS := target/release/harness

# A bug in every part that a seed of the simulation exercises, each caught within seconds.
BUGS_CI := vote-forgotten old-term-commit read-without-quorum no-batch-sync forward-twice

.PHONY: help campaign campaign-proof deploy-check docs fuzz run sim topologies power crash-points bugs bugs-ci bugs-check mutants mutants-daemon nightly report-check test test-libraries everything everything-root check bench bench-core bench-store bench-checker bench-sim bench-daemon bench-gaps bench-steer fmt build dist setup-build setup-clients replay-proof systems kernel-crash-points old-roll

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

run: build ## three real nodes, real faults, a verdict (TIME=20s SEED=7 PLAN=workloads/...)
	@echo "step 2 of 2: $(PLAN) for $(TIME), then recovery and the verdict"
	@$(HARNESS) run $(PLAN) --time $(TIME) --keep $(KEEP) $(if $(SEED),--seed $(SEED))

sim: build ## thousands of simulated clusters, one seed one trace (SEEDS=1..3001 SIM=workloads/...)
	@$(HARNESS) sim $(SIM) --seeds $(SEEDS) --keep-going

# The tables are in results/, those of parts with their numbers in the names.
topologies: build ## every directed topology of five nodes, and again with a link that flaps: who serves (ARGS="--shard 2/8")
	@$(HARNESS) topologies --nodes 5 --every-log --out results/topologies.md $(ARGS)
	@$(HARNESS) topologies --nodes 5 --every-log --flaps --out results/topologies-flaps.md $(ARGS)

campaign: build ## every plan of both worlds with new seeds, in a folder that can be resumed (BUDGET=2h ARGS="--shard 2/8")
	@$(HARNESS) campaign workloads/nightly.toml --seed "$$(date +%Y%m%d)" --budget $(BUDGET) $(ARGS)

# Without privileges, and with: what root makes possible is in a plan of its own.
everything: build ## every family of faults on real processes, three and five nodes (BUDGET=1h)
	@$(HARNESS) campaign workloads/campaigns/everything.toml --seed "$$(date +%Y%m%d)" --jobs 1 --budget $(BUDGET) $(ARGS)

everything-root: build ## the same with a network namespace and an ext4 file system a node; root (BUDGET=1h)
	@$(HARNESS) campaign workloads/campaigns/everything-root.toml --seed "$$(date +%Y%m%d)" --jobs 1 --budget $(BUDGET) $(ARGS)

# Outside of `make test`: the types of Kubernetes take minutes to build.
deploy-check: setup-build ## whether Kubernetes knows every key of the manifests in deploy/, and a campaign on a real Slurm
	cargo test --manifest-path deploy/check/Cargo.toml --target-dir target/deploy-check
	@scripts/setup.sh slurm
	cargo test -p harness --test runs -- --nocapture slurm

campaign-proof: setup-build ## campaigns killed twice: a valid one, its folder in order; one with a bug, found once (PART=bug BUDGET=2h BUG_BUDGET=1h)
	@scripts/campaign-proof.py $(PART) --budget $(BUDGET) --bug-budget $(or $(BUG_BUDGET),1h)

replay-proof: setup-build ## a run of a daemon with a bug is replayed, made smaller, and passes without the bug (BUG=name RUNS=10 BUDGET=20m)
	@scripts/replay-proof.sh

bugs: setup-build ## real bugs put into the daemon one by one, each has to be caught (ARGS="--only NAME --world sim")
	@cargo build --quiet --bin harness
	@target/debug/harness bugs $(ARGS)

bench-steer: setup-build ## whether coverage that steers finds slow bugs in less CPU time than seeds alone: median of ten (SLOW="name name")
	@cargo build --quiet --bin harness
	@target/debug/harness bugs --compare-steering --only $(SLOW) $(ARGS)

bugs-check: setup-build ## whether the edit of every bug applies and compiles, in minutes; hunts nothing
	@cargo build --quiet --bin harness
	@target/debug/harness bugs --check

# A few of them, as a test.
bugs-ci: setup-build
	@cargo build --quiet --bin harness
	@target/debug/harness bugs --world sim --budget 30s --only $(BUGS_CI)

report-check: setup-build ## the page of a run, and those of many runs, in headless Chromium: both themes, pointer and keyboard, narrow, a million operations (OPERATIONS=1000)
	@scripts/report-check.sh

mutants: setup-build ## small changes of the core, made by cargo-mutants, that its tests have to notice
	@scripts/setup.sh mutants
	scripts/mutants.sh $(ARGS)

mutants-daemon: setup-build ## a sample of 200 small changes of the daemon, each against the tests of its folder; resumes (COUNT, SEED, HOURS)
	@scripts/setup.sh mutants
	scripts/mutants-daemon.sh

# One summary, whatever failed.
nightly: setup-build ## everything that takes hours, one after the other; goes on after a failure (ONLY="bugs-check power")
	@scripts/nightly.sh

# Every operation of a run is a point of crash: a kill, and power cuts that keep parts of what was not synced.
crash-points: setup-build ## a crash at every write and sync of whole runs of the store, thousands a run (STORE_RUNS=20)
	STORE_RUNS=$(STORE_RUNS) cargo test --release -p noraftd --test store -- --nocapture \
		a_crash_at_any_operation a_power_cut_after_any_operation

kernel-crash-points: build ## a crash between the writes of the kernel, on a disk that loses what was not flushed; root (POINTS=1000 TIME=10s)
	@$(HARNESS) crash-points --points $(or $(POINTS),1000) --time $(if $(filter command line environment,$(origin TIME)),$(TIME),10s)

old-roll: build ## a loaded cluster of an earlier release goes forward, back and forward, under kills and partitions (OLD=REV TIME=60s SEED=7)
	@scripts/old-roll.sh $(OLD) --time $(TIME) $(if $(SEED),--seed $(SEED))

power: build ## power cuts on real processes, in both tiers; that on ext4 takes root (TIME=20s SEED=7)
	@$(HARNESS) run workloads/power.toml --time $(TIME) $(if $(SEED),--seed $(SEED))
	@$(HARNESS) run workloads/power.toml --power-tier ext4 --time $(TIME) $(if $(SEED),--seed $(SEED))

test: setup-build setup-clients ## all tests, in debug; the fuzz and random tests of the core in release too; a few bugs
	@scripts/test.sh

# Python, JavaScript, Rust; `make test` has one library of each.
test-libraries: setup-build setup-clients ## libraries of clients fail over by themselves, while the leader is killed
	PATH="$(CURDIR)/target/venv/bin:$$PATH" cargo test -p noraftd --test daemon -- --nocapture --include-ignored libraries::

check: setup-build ## what CI checks: format, lints, docs, build; writes nothing
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p noraftd -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
	@scripts/check-links.sh
	@scripts/check-words.sh

docs: ## the book, into target/book, with every link checked
	@scripts/setup.sh docs
	@scripts/check-links.sh
	@if [ -x target/tools/bin/mdbook ]; then target/tools/bin/mdbook build docs && echo "docs: target/book/index.html"; \
		else echo "docs: skipped: no mdbook, so the book was not built; docs/src can be read as it is"; fi

# Steered by coverage, on stable. What is found is in target/fuzz/TARGET; MERGE=1 keeps only the inputs that matter.
fuzz: setup-build ## arbitrary bytes for a reader of bytes (TARGET=resp|frames|segments|snapshots|histories|plans TIME=1800)
	@scripts/fuzz.sh $(or $(TARGET),resp) $(subst s,,$(if $(filter 60s,$(TIME)),1800,$(TIME)))

build: setup-build
	@echo "step 1 of 2: building the programs; minutes the first time, then seconds"
	@cargo build --release -p noraftd -p harness --bins

# Linked as a whole, which takes minutes: what is measured, and what is handed out. The daemon by itself, so that what
# the harness asks of its library (the feature `memory-disk`) is not compiled into it.
dist: setup-build ## the programs as they are released, in target/dist
	cargo build --profile dist -p noraftd --bins
	cargo build --profile dist -p harness --bins --features harness/jemalloc

systems: build ## etcd, Redis with Sentinel, NATS and noraftd under the same plans; the table is results/systems.md (root for power cuts; ARGS="--seeds 5 --only etcd")
	@scripts/setup.sh systems
	@scripts/systems.py $(ARGS)

bench: bench-core bench-store bench-checker bench-sim bench-daemon ## all benchmarks, with their peers, in one run

bench-core: setup-build ## the Raft core in memory, beside noraft 0.7.1 and raft-rs
	cargo bench -p bench --bench core

bench-store: setup-build ## the log on disk, beside raw pwrite + fdatasync
	cargo bench -p bench --bench store

bench-checker: setup-build ## the checkers, beside porcupine-rs, 25 minutes at most (ARGS="--resume --every --ops-max 10000")
	cargo bench -p bench --bench checker -- $(ARGS)

bench-sim: dist ## simulated seconds for each second of a processor
	@scripts/bench-sim.sh

bench-gaps: dist ## how long no write is acknowledged when the leader goes, in four ways, beside etcd and the first release; quarter of an hour and more (ARGS="--times 5")
	@scripts/bench-gaps.py target/dist/noraftd --etcd etcd --out results/bench/gaps.md $(ARGS) $$(old=$$(scripts/old-release.sh 0dedacf) && echo "--old $$old")

bench-daemon: dist ## three daemons beside etcd and Redis, one run (ARGS="--rounds 5 --only noraftd,etcd")
	@scripts/setup.sh peers
	cargo bench -p bench --bench daemon -- $(ARGS)

fmt: ## format the code
	cargo fmt --all

setup-build:
	@scripts/setup.sh build

setup-clients:
	@scripts/setup.sh clients
