#!/usr/bin/env bash
# A fixed sample of small changes of the daemon, one at a time, each against the tests of its folder: `make mutants-daemon`.
# Resumes where it was stopped: what has a verdict in target/mutants-daemon/verdicts.tsv is not run again (delete the file to begin again).
# SEED and COUNT choose the sample, HOURS ends the run early. `--list` prints the sample, `--summary` the figures so far.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/target/tools/bin:$PATH"
seed=${SEED:-1} count=${COUNT:-200} hours=${HOURS:-6}
out=$PWD/target/mutants-daemon
verdicts=$out/verdicts.tsv
mkdir -p "$out"
touch "$verdicts"
# What was committed, in a copy: a run that is killed leaves its change there.
rm -rf "$out/tree"
mkdir "$out/tree"
# A build that was killed leaves parts that do not fit together.
rm -rf "$out/build/debug/incremental"
git archive HEAD | tar -x -C "$out/tree"
export CARGO_TARGET_DIR=$out/build
# Hundreds of builds want no debug information.
export CARGO_PROFILE_DEV_DEBUG=0 CARGO_PROFILE_TEST_DEBUG=0

# Folder, and the test program that has to notice.
tests_of() {
    case $1 in
    noraftd/src/replica/*) echo replica ;;
    noraftd/src/store/*) echo store ;;
    noraftd/src/machine/*) echo protocol ;;
    esac
}

# The same seed and sources give the same sample: the smallest hashes of seed and name, by file and function.
sample() {
    cargo mutants --dir "$out/tree" --list --package noraftd \
        --file 'noraftd/src/replica/**' --file 'noraftd/src/store/recovery/**' --file 'noraftd/src/store/write/**' \
        --file 'noraftd/src/machine/**' > "$out/all.txt"
    while IFS= read -r name; do
        printf '%s\t%s\n' "$(printf '%s %s' "$seed" "$name" | cksum | cut -d ' ' -f 1)" "$name"
    done < "$out/all.txt" | sort -n | awk -v count="$count" 'NR <= count' | cut -f 2
}

summary() {
    awk -F '\t' '{n[$1]++} END {for (verdict in n) printf "%6d %s\n", n[verdict], verdict}' "$verdicts"
    grep -P '^(survived)\t' "$verdicts" || true
}

case ${1:-} in
--list) sample; exit ;;
--summary) summary; exit ;;
esac

end=$(($(date +%s) + hours * 3600))
sample > "$out/sample.txt"
number=0
while IFS= read -r name; do
    number=$((number + 1))
    cut -f 2 "$verdicts" | grep -qxF -- "$name" && continue
    [ "$(date +%s)" -lt "$end" ] || { echo "mutants-daemon: the time is over after $number of $count"; break; }
    # One mutant is one part of as many as its file has. (A pattern of names does not choose among all kinds of mutants.)
    file=${name%%:*}
    of_file=(--dir "$out/tree" --package noraftd --file "$file" --no-shuffle --colors never)
    cargo mutants "${of_file[@]}" --list > "$out/file.txt"
    place=$(grep -nxF -- "$name" "$out/file.txt" | cut -d : -f 1)
    one=$((place - 1))/$(wc -l < "$out/file.txt")
    [ "$(cargo mutants "${of_file[@]}" --list --shard "$one")" = "$name" ] || { echo "mutants-daemon: part $one of $file is not: $name"; exit 1; }
    test=$(tests_of "$name")
    for attempt in 1 2; do
        code=0
        nice cargo mutants "${of_file[@]}" --shard "$one" --in-place --baseline skip --timeout 120 --build-timeout 600 \
            --output "$out" --cargo-arg=--lib --cargo-arg="--test=$test" > "$out/last.log" 2>&1 < /dev/null || code=$?
        # Only the compiler says that something does not compile.
        grep -qE 'error: (linking|could not (write|exec))' "$out"/mutants.out/log/*.log || break
        [ "$attempt" = 1 ] || { echo "mutants-daemon: the linker fails on: $name"; exit 1; }
        rm -rf "$out/build/debug/incremental"
    done
    case $code in
    0) grep -q '1 unviable' "$out/last.log" && verdict='does not compile' || verdict=caught ;;
    2) verdict=survived ;;
    3) verdict='caught by its time' ;;
    *) echo "mutants-daemon: cargo-mutants ended with $code on: $name"; cat "$out/last.log"; exit 1 ;;
    esac
    printf '%s\t%s\n' "$verdict" "$name" >> "$verdicts"
    echo "mutants-daemon: $number of $count: $verdict: $name"
done < "$out/sample.txt"
summary
