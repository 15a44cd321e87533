#!/usr/bin/env bash
# Builds the daemon of an earlier commit, with the lock file of that commit, and prints where it is:
#   scripts/old-release.sh REV          target/old/COMMIT/noraftd
# A clone without that commit (a shallow one) says so, and ends with 3: what needs it is to be skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# = 1 ] || { echo "usage: scripts/old-release.sh REV" >&2; exit 2; }

if ! commit=$(git rev-parse --quiet --verify "$1^{commit}" 2>/dev/null); then
    why="there is no commit '$1' here"
    [ "$(git rev-parse --is-shallow-repository 2>/dev/null)" = true ] && why="this is a shallow clone, without the commit '$1' (git fetch --unshallow)"
    echo "old-release: skipped: $why" >&2
    exit 3
fi
folder=target/old/${commit:0:12}
program=$PWD/$folder/noraftd
if [ ! -x "$program" ]; then
    # Whole or not there: a build that is interrupted leaves no program.
    rm -rf "$folder/source"
    mkdir -p "$folder/source"
    git archive "$commit" | tar -x -C "$folder/source"
    # Its own build folder, shared by all old releases: most of what they depend on is the same.
    CARGO_TARGET_DIR=$PWD/target/old/build cargo build --quiet --locked --release \
        --manifest-path "$folder/source/Cargo.toml" -p noraftd --bin noraftd >&2
    cp target/old/build/release/noraftd "$program.new"
    mv "$program.new" "$program"
    rm -rf "$folder/source"
fi
echo "$program"
