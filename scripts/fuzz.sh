#!/usr/bin/env bash
# Searches for inputs that break a target, or that reach new code: scripts/fuzz.sh TARGET SECONDS
# Works on stable, without sanitizers: the compiler's coverage counters and libFuzzer, built into target/fuzz.
# With SANITIZER=address and a nightly toolchain (RUSTUP_TOOLCHAIN=nightly), memory errors are found too.
# What is found is kept in target/fuzz/TARGET; new inputs go to fuzz/corpus/TARGET, fewer and smaller with MERGE=1.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$1
seconds=$2
out=target/fuzz/$target
corpus=fuzz/corpus/$target
mkdir -p "$out" "$corpus"
triple=$(rustc -vV | sed -n 's/^host: //p')
flags="-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
-Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
-Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions=on -Coverflow-checks=on"
[ -z "${SANITIZER:-}" ] || flags+=" -Zsanitizer=$SANITIZER"
# A target triple keeps the counters out of build scripts.
RUSTFLAGS=$flags CARGO_TARGET_DIR=target/fuzz cargo build --release --package fuzz --features libfuzzer --target "$triple"
program=target/fuzz/$triple/release/fuzz
seeds=() limits=()
case $target in
    plans) seeds=(workloads) ;;
    histories) limits=(-max_len=2048) ;;
esac
export FUZZ_TARGET=$target
if [ -n "${MERGE:-}" ]; then
    mv "$corpus" "$out/before" && mkdir "$corpus"
    "$program" -merge=1 "$corpus" "$out/before" "${seeds[@]}"
    rm -r "$out/before"
else
    # A finding takes at most a second, or it is one.
    "$program" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -close_fd_mask=1 "${limits[@]}" \
        -artifact_prefix="$out/" "$corpus" "${seeds[@]}"
fi
