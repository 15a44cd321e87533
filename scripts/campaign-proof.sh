#!/usr/bin/env bash
# Does a campaign find a bug? `make campaign-proof` (BUG, SEEDS, BUDGET). A copy of the sources gets an edit of harness/bugs/; the campaign of that build is
# killed with SIGKILL twice and resumed. It has to end with exit code 1 and one finding. The plan that it writes has to fail with the
# bug in at least 8 of 10 replays, to have at most a quarter of the faults, and to pass without the bug.
set -euo pipefail
cd "$(dirname "$0")/.."
bug=${BUG:-read-without-quorum}
seeds=${SEEDS:-3001}
budget=${BUDGET:-5m}
here=target/campaign-proof
tree=$here/tree
# The harness of the sources as they are, when there is one already.
clean=${CLEAN:-$PWD/target/bugs/harness}
mkdir -p "$tree"
# Files that are as they were keep their times, so that a second proof builds little.
git ls-files -z | tar --null -T - -cf - | tar -xf - -C "$tree" --skip-old-files
python3 - "$bug" "$tree" <<'PYTHON'
import pathlib, subprocess, sys, tomllib

bug, tree = sys.argv[1], pathlib.Path(sys.argv[2])
edits = tomllib.loads(pathlib.Path(f"harness/bugs/{bug}.toml").read_text())["edit"]
wanted = {}
for name in subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=True).stdout.decode().split("\0"):
    if name and pathlib.Path(name).is_file():
        wanted[name] = pathlib.Path(name).read_bytes()
for edit in edits:
    text = wanted[edit["file"]].decode()
    if text.count(edit["find"]) != 1:
        sys.exit(f"campaign-proof: {bug} does not fit {edit['file']}")
    wanted[edit["file"]] = text.replace(edit["find"], edit["replace"]).encode()
for name, content in wanted.items():
    path = tree / name
    if path.read_bytes() != content:
        path.write_bytes(content)
PYTHON
echo "campaign-proof: building the harness, without $bug and with it"
[ -n "${CLEAN:-}" ] || cargo build --quiet --profile bugs --bin harness --target-dir target
(cd "$tree" && cargo build --quiet --profile bugs --bin harness --target-dir ../build)
mutated=$PWD/$here/build/bugs/harness
night=$here/night
rm -rf "$night"
cat > "$here/campaign.toml" <<END
version = 1
name = "proof"
[[entry]]
plan = "$PWD/workloads/swarm.toml"
world = "simulation"
seeds = [1, $seeds]
END
fail() {
    echo "campaign-proof: $*" >&2
    exit 1
}
campaign() { "$@" "$mutated" campaign "$here/campaign.toml" --resume "$night" --budget "$budget"; }
for seconds in 20 30; do
    code=0
    campaign timeout --signal=KILL "$seconds" || code=$?
    [ "$code" = 137 ] || fail "the campaign was over before it was killed ($code): give it more SEEDS"
done
code=0
campaign env || code=$?
[ "$code" = 1 ] || fail "exit code $code, where a finding is 1"
groups=("$night"/groups/*/)
[ ${#groups[@]} = 1 ] || fail "${#groups[@]} findings: ${groups[*]}"
plan=${groups[0]}plan.toml
head -3 "$plan"
python3 - "${groups[0]}group.json" <<'PYTHON'
import json, sys

about = json.load(open(sys.argv[1]))
print(f"failed in {about['again']} of {about['replays']} replays; {about['faults'][1]} of {about['faults'][0]} faults are left")
if about["again"] * 10 < about["replays"] * 8 or about["faults"][1] * 4 > about["faults"][0]:
    sys.exit("campaign-proof: too seldom, or not small")
PYTHON
code=0
"$mutated" sim "$plan" --out "$here/runs" > "$here/with.txt" || code=$?
[ "$code" = 1 ] || fail "with the bug, $plan ends with $code"
code=0
"$clean" sim "$plan" --out "$here/runs" > "$here/without.txt" || code=$?
[ "$code" = 0 ] || fail "without the bug, $plan ends with $code"
echo "campaign-proof: $bug was found, once; its plan fails with the bug and passes without it"
