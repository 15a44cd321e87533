#!/usr/bin/env bash
# Does a failed run repeat, and become small? `make replay-proof` (BUG, TIME, RUNS, BUDGET). A copy of the sources gets an edit of harness/bugs/; the
# daemon of that build runs a plan on real processes until it fails. Its recorded schedule has to fail again with the same rule; the smaller
# plan and schedule have to fail with the bug, with at most a quarter of the faults, and not without it.
# BUGGY and CLEAN name daemons that are built already; RUN the folder of a run that failed.
set -euo pipefail
cd "$(dirname "$0")/.."
bug=${BUG:-read-without-quorum}
plan=${PLAN:-scripts/replay-proof.toml}
time=${TIME:-12s}
runs=${RUNS:-10}
budget=${BUDGET:-20m}
here=target/replay-proof
mkdir -p "$here"
fail() {
    echo "replay-proof: $*" >&2
    exit 1
}
harness=${HARNESS:-target/debug/harness}
if [ -z "${HARNESS:-}" ]; then cargo build --quiet --bin harness --bin noraftd --target-dir target; fi
clean=${CLEAN:-target/debug/noraftd}
if [ -z "${BUGGY:-}" ]; then
    echo "replay-proof: building the daemon with $bug"
    tree=$here/tree
    mkdir -p "$tree"
    # Files that are as they were keep their times, so that a second proof builds little.
    git ls-files -z | tar --null -T - -cf - | tar -xf - -C "$tree" --skip-old-files
    python3 - "$bug" "$tree" <<'PYTHON'
import pathlib, sys, tomllib

bug, tree = sys.argv[1], pathlib.Path(sys.argv[2])
for edit in tomllib.loads(pathlib.Path(f"harness/bugs/{bug}.toml").read_text())["edit"]:
    text = pathlib.Path(edit["file"]).read_text()
    if text.count(edit["find"]) != 1:
        sys.exit(f"replay-proof: {bug} does not fit {edit['file']}")
    path, wanted = tree / edit["file"], text.replace(edit["find"], edit["replace"])
    if path.read_text() != wanted:
        path.write_text(wanted)
PYTHON
    (cd "$tree" && cargo build --quiet --bin noraftd --target-dir ../build)
    BUGGY=$here/build/debug/noraftd
fi
run=${RUN:-}
if [ -z "$run" ]; then
    for seed in $(seq 1 20); do
        code=0
        "$harness" run "$plan" --time "$time" --seed "$seed" --noraftd "$BUGGY" --out "$here/runs" > "$here/run.txt" 2>&1 || code=$?
        run=$(readlink -f "$here/runs/latest")
        # A machine that has no time for the daemons fails too, by not serving.
        [ "$code" = 1 ] && grep -q '"verdict": "invalid"' <(grep -A1 -E '"model": "(register|log)"' "$run/results.json") && break
        run=
    done
    [ -n "$run" ] || fail "no history of $plan became invalid with $bug"
fi
rm -rf "$here/shrunk"
code=0
"$harness" replay "$run" --runs "$runs" --noraftd "$BUGGY" --out "$here/replays" | tee "$here/replay.txt" || code=$?
[ "$code" = 1 ] || fail "the recorded schedule did not fail again ($code)"
code=0
"$harness" shrink "$run" --budget "$budget" --noraftd "$BUGGY" --out "$here/shrunk" | tee "$here/shrink.txt" || code=$?
[ "$code" = 1 ] || fail "nothing smaller was written ($code)"
python3 - "$run" "$here/shrunk" <<'PYTHON'
import json, pathlib, sys

def faults(folder):
    lines = (pathlib.Path(folder) / "schedule.jsonl").read_text().splitlines()
    return sum(json.loads(line)["step"] == "begin" for line in lines)

before, after = map(faults, sys.argv[1:])
expected = json.loads((pathlib.Path(sys.argv[2]) / "expected.json").read_text())
print(f"replay-proof: {after} of {before} faults are left; failed in {expected['failed']} of {expected['runs']} replays")
if after * 4 > before or expected["failed"] == 0:
    sys.exit("replay-proof: not small, or too seldom")
PYTHON
code=0
"$harness" replay "$here/shrunk" --runs "$runs" --noraftd "$clean" --out "$here/replays" | tee "$here/clean.txt" || code=$?
[ "$code" != 1 ] || fail "the smaller run fails without $bug, too"
echo "replay-proof: $bug was repeated and made small; without it nothing fails"
