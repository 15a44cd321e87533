#!/usr/bin/env bash
# Everything that takes hours, one after the other: `make nightly`. A step that fails does not keep the others from running; the summary at the
# end says which failed, and the exit code is 1 then.
# The output of each step is kept in target/nightly/STEP.log. ONLY="bugs-check power" runs these steps alone; FUZZ_SECONDS is what each target is given,
# SEEDS and STORE_RUNS are those of `make sim` and `make crash-points`.
set -uo pipefail
cd "$(dirname "$0")/.."
logs=target/nightly
mkdir -p "$logs"
fuzz_seconds=${FUZZ_SECONDS:-1800}
failed=() passed=() skipped=()

# The table of steps: what makes the later ones worthless first, then from short to long.
steps=(bugs-check deploy-check report-check crash-points kernel-crash-points old-roll sim topologies power campaign everything everything-root bugs)
for target in $(sed -nE 's/^clients(-[a-z]+)?:.*/clients\1/p' Makefile); do steps+=("$target"); done
for target in resp frames segments snapshots histories plans; do steps+=("fuzz-$target"); done
steps+=(mutants mutants-daemon)

# Why a step cannot run here; empty when it can.
obstacle() {
    case $1 in
    power) [ "$(id -u)" = 0 ] || echo "power cuts on ext4 take root" ;;
    everything-root) [ "$(id -u)" = 0 ] || echo "namespaces and file systems that lose power take root" ;;
    kernel-crash-points) [ "$(id -u)" = 0 ] && [ -e /dev/fuse ] || echo "a disk of its own takes root and /dev/fuse" ;;
    old-roll) git rev-parse --quiet --verify '0dedacf^{commit}' > /dev/null || echo "a shallow clone, without the first release" ;;
    mutants-daemon) [ -x scripts/mutants-daemon.sh ] || echo "scripts/mutants-daemon.sh is not there" ;;
    esac
}

run() {
    case $1 in
    fuzz-*) make --no-print-directory fuzz TARGET="${1#fuzz-}" TIME="$fuzz_seconds" ;;
    *) make --no-print-directory "$1" ;;
    esac
}

for step in "${steps[@]}"; do
    [ -z "${ONLY:-}" ] || [[ " $ONLY " == *" $step "* ]] || continue
    reason=$(obstacle "$step")
    if [ -n "$reason" ]; then
        skipped+=("$step: $reason")
        continue
    fi
    printf 'nightly: %s %s, its output is in %s\n' "$(date +%H:%M)" "$step" "$logs/$step.log"
    begun=$SECONDS
    run "$step" > "$logs/$step.log" 2>&1
    code=$?
    line=$(printf '%-16s %6d s' "$step" $((SECONDS - begun)))
    if [ "$code" = 0 ]; then
        passed+=("$line")
    else
        failed+=("$line, exit code $code, $logs/$step.log ends: $(tail -n 1 "$logs/$step.log")")
    fi
done

echo
for line in "${passed[@]}"; do echo "passed   $line"; done
for line in "${skipped[@]}"; do echo "skipped  $line"; done
for line in "${failed[@]}"; do echo "FAILED   $line"; done
echo "nightly: ${#passed[@]} steps passed, ${#failed[@]} failed, ${#skipped[@]} could not run here"
[ $((${#passed[@]} + ${#failed[@]})) -gt 0 ] || echo "nightly: no step of that name: ${steps[*]}"
[ ${#failed[@]} = 0 ] && [ ${#passed[@]} -gt 0 ]
