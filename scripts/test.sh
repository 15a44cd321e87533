#!/usr/bin/env bash
# All tests, then what took longest and what could not run here: `make test`.
# The whole output is kept in target/test.log, with the second of each line in front.
set -uo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/target/venv/bin:$PWD/target/tools/bin:$PATH"
log=target/test.log
mkdir -p target && : > "$log"
failed=()

# Puts the time in front of each line that goes into the log, and shows the line.
record() {
    while IFS= read -r line || [ -n "$line" ]; do
        printf '%s %s\n' "$EPOCHREALTIME" "$line" >> "$log"
        printf '%s\n' "$line"
    done
}

step() { # title command...
    local title=$1
    shift
    printf '\ntest: step %s\n' "$title"
    "$@" 2>&1 | record
    [ "${PIPESTATUS[0]}" = 0 ] || failed+=("$title")
}

# Building writes to the terminal itself, so that cargo shows how far it is.
printf 'test: step 1 of 4: building all tests; minutes the first time\n'
cargo test --no-run || exit
step "2 of 4: all tests" cargo test --no-fail-fast
step "3 of 4: arbitrary calls and random clusters on the core, as it is in a release" \
    cargo test --release -p noraft@0.1.0 --test clusters -- fuzz:: random::
step "4 of 4: five bugs are put into the daemon, each has to be caught" make --no-print-directory bugs-ci

echo
LC_ALL=C awk -v threads="${RUST_TEST_THREADS:-$(nproc)}" -f scripts/test-summary.awk "$log"
for title in "${failed[@]}"; do echo "FAILED: step $title"; done
[ ${#failed[@]} = 0 ]
