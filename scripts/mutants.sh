#!/usr/bin/env bash
# Changes the core in hundreds of small ways, one at a time, and runs its tests on each: `make mutants`.
# What survives is listed in results/mutants.md with the reason, or is a gap in the tests.
# More arguments go to cargo-mutants, such as `--file noraft/src/quorum.rs` or `--shard 0/10`.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/target/tools/bin:$PATH"
# The random tests want some optimisation, and hundreds of builds no debug information.
export CARGO_PROFILE_DEV_OPT_LEVEL=1 CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_TEST_DEBUG=0
exec nice cargo mutants --package noraft --jobs 1 --timeout 60 --output target/mutants "$@" -- --lib --tests
