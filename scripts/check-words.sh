#!/usr/bin/env bash
# The words that STYLE.md replaces do not come back: `make check`.
# scripts/words-allowed.tsv lists exceptions: file, word, reason. An exception that nothing needs is an error.
set -euo pipefail
cd "$(dirname "$0")/.."
allowed=scripts/words-allowed.tsv

# Never right: phrases, and names that have better ones.
never='with the nodes at hand|tells whether any|stops only their disks|cannot be told|silent for ever|for who may be|anew each time'
never+='|(struct|enum|type|trait) (Told|Blow|Struck|Hand|Complaints|Met|Held|Kept|Rest|Later)|hope_again|in_vain|fn tell'
# Rarely right: each with a reason.
rarely='told|nobody|anew|for ever|whoever|in vain|at hand|taken over|cut down|blow|struck'

mapfile -t files < <(git ls-files --cached --others --exclude-standard -- ':!CHANGELOG.md' ':!LICENSE' ':!Cargo.lock' \
    ':!fuzz/corpus' ':!results/golden' ":!$allowed" ':!scripts/check-words.sh' ':!STYLE.md')

# File, word, line; one row for each hit. Golden texts count by the programs that print them.
hits() {
    grep -nIioHE -- "\\b($never|$rarely)\\b" "${files[@]}" | awk -F: -v OFS='\t' '$1 !~ /\.snap$/ {print $1, tolower($3), $2}'
}

hits | awk -F '\t' -v allowed="$allowed" '
    FILENAME == allowed { if ($3 != "") reason[$1 FS $2] = $3; next }
    ($1 FS $2) in reason { used[$1 FS $2] = 1; next }
    { printf "%s:%s: \"%s\": STYLE.md has the better word\n", $1, $3, $2; bad = 1 }
    END {
        for (exception in reason)
            if (!(exception in used)) { print "check-words: nothing needs the exception: " exception; bad = 1 }
        exit bad
    }' "$allowed" -
