#!/usr/bin/env bash
# The words that STYLE.md replaces do not come back: `make check`.
# scripts/words-allowed.tsv lists exceptions: file, word, reason. An exception that is not needed any more is an error too.
set -euo pipefail
cd "$(dirname "$0")/.."
allowed=scripts/words-allowed.tsv

# Never: phrases, and names of types and functions that have better ones.
never='with the nodes at hand|tells whether any|stops only their disks|cannot be told|silent for ever|for who may be|anew each time'
never+='|(struct|enum|type|trait) (Told|Blow|Struck|Hand|Complaints|Met|Held|Kept|Rest|Later)\b|\bhope_again\b|\bfn tell\b'
# Rarely: each with a reason.
rarely='told|nobody|anew|for ever|whoever|in vain|at hand|taken over|cut down|blow|struck'

files() { git ls-files --cached --others --exclude-standard -- "$@" ':!CHANGELOG.md' ':!LICENSE' ':!Cargo.lock' ':!fuzz/corpus' \
    ':!results/golden' ":!$allowed" ':!scripts/check-words.sh' ':!STYLE.md'; }
mapfile -t all < <(files)

bad=0
if grep -nIE -- "$never" "${all[@]}"; then
    echo "check-words: these are never right; STYLE.md has the better words"
    bad=1
fi

used=$(mktemp)
trap 'rm -f "$used"' EXIT
while IFS=: read -r file line rest; do
    words=$(grep -oiwE -- "$rarely" <<<"$rest" | tr '[:upper:]' '[:lower:]' | sort -u)
    while IFS= read -r word; do
        if awk -F '\t' -v f="$file" -v w="$word" '$1 == f && $2 == w && $3 != "" {found = 1} END {exit !found}' "$allowed"; then
            printf '%s\t%s\n' "$file" "$word" >> "$used"
        else
            echo "$file:$line: '$word': ${rest:0:120}"
            bad=1
        fi
    done <<<"$words"
done < <(grep -nIiwHE -- "$rarely" "${all[@]}" || true)

unused=$(cut -f 1,2 "$allowed" | sort -u | comm -23 - <(sort -u "$used"))
if [ -n "$unused" ]; then
    echo "check-words: exceptions in $allowed that nothing needs:"
    echo "$unused"
    bad=1
fi
exit "$bad"
