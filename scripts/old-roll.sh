#!/usr/bin/env bash
# A loaded cluster of an earlier release goes forward to this one, back, and forward: `make old-roll`.
#   scripts/old-roll.sh REV [arguments for `harness run`]
# The run has to be valid, and the old program has to have opened, on every node, what the new one had written.
set -euo pipefail
cd "$(dirname "$0")/.."
rev=$1
shift
code=0
old=$(scripts/old-release.sh "$rev") || code=$?
[ "$code" != 3 ] || exit 0
[ "$code" = 0 ] || exit "$code"
log=target/old/roll.log
target/release/harness run workloads/roll.toml --noraftd-old "$old" "$@" | tee "$log"
for node in n1 n2 n3; do
    grep -q "$node ([^)]*) became the old program again" "$log" || {
        echo "old-roll: $node was not rolled back to the old program; give the run more time (TIME=120s)" >&2
        exit 1
    }
done
