#!/usr/bin/env bash
# The page of a run in a browser: `make report-check`. Pages of a valid, an invalid, an unknown and a broken run, of a run on real processes, and of
# a million operations are opened in headless Chromium, clicked, and reached with the keyboard, in both themes, wide and narrow.
# Then the pages of many runs: published, as files, and from a server (site-check.mjs).
# Without Chromium or playwright-core, when they cannot be installed, it is skipped, and says so.
set -euo pipefail
cd "$(dirname "$0")/.."
here=$PWD/target/report-check
operations=${OPERATIONS:-1000000}
skip() {
    echo "report-check: SKIPPED: $*"
    exit 0
}
scripts/setup.sh browser
browser=$(command -v chromium || command -v chromium-browser || true)
[ -n "$browser" ] || skip "no chromium, and it could not be installed"
[ -d target/browser/node_modules/playwright-core ] || skip "no playwright-core, and it could not be installed"
profile=${PROFILE:-release}
cargo build --quiet --profile "$profile" -p noraftd -p harness --bins
harness=${CARGO_TARGET_DIR:-target}/$profile/harness
[ -x "$harness" ] || harness=${CARGO_TARGET_DIR:-target}/debug/harness
rm -rf "$here"
mkdir -p "$here/pages/million"
echo "report-check: making the pages"
REPORT_PAGES=$here/pages cargo test --quiet -p harness --test runs pages_for_a_browser
"$harness" run workloads/smoke.toml --time "${TIME:-8s}" --seed 7 --out "$here/runs" > "$here/run.txt" ||
    [ $? = 2 ] || { tail -n 3 "$here/run.txt"; exit 1; }
cp -rL "$here/runs/latest" "$here/pages/processes"
cat > "$here/pages/million/plan.toml" <<END
version = 1
name = "million"
about = "$operations operations"
time = "60s"
seed = 1
[[workload]]
kind = "register"
END
echo '{"results":1,"verdict":"valid","operations":{"invoked":0,"ok":0,"fail":0,"info":0},"checks":[]}' > "$here/pages/million/results.json"
"$harness" generate --ops "$operations" --clients 50 --keys 20 --info 0.001 --out "$here/pages/million/history.jsonl"
touch "$here/pages/million/schedule.jsonl" "$here/pages/million/nodes.jsonl"
mkdir -p "$here/pages/million/nodes"
for node in 1 2 3; do mkdir "$here/pages/million/nodes/n$node" && touch "$here/pages/million/nodes/n$node/log"; done
"$harness" report "$here/pages/million" > "$here/million.txt"
mkdir -p "$here/results"
REPORT_RESULTS=$here/results cargo test --quiet -p harness --test runs results_for_a_browser
cp -r "$here/runs" "$here/results/processes"
"$harness" publish "$here/site" --results "$here/results" > "$here/publish.txt"
"$harness" serve "$here/results" --listen 127.0.0.1:0 > "$here/serve.txt" &
server=$!
trap 'kill "$server" 2> /dev/null || true' EXIT
until [ -s "$here/serve.txt" ]; do
    kill -0 "$server" || { echo "report-check: harness serve ended"; exit 1; }
    sleep 0.1
done
cd target/browser
node ../../scripts/site-check.mjs "$here/site" "$(head -n 1 "$here/serve.txt")" "$here/shots" "$browser"
node ../../scripts/report-check.mjs "$here/pages" "$here/shots" "$browser"
