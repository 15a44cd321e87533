#!/usr/bin/env bash
# Every link in the documents leads to a file, and to a heading in it: `make docs` and `make check`.
# Addresses on the web are not asked.
set -euo pipefail
cd "$(dirname "$0")/.."

# The anchors of a page, as mdBook and GitHub make them of its headings.
anchors() { # file
    sed -nE '/^```/,/^```/!s/^#+ +//p' "$1" | tr '[:upper:]' '[:lower:]' | sed -E 's/[^a-z0-9 _-]//g; s/ /-/g'
}

dead=0
while IFS= read -r file; do
    folder=$(dirname "$file")
    while IFS= read -r link; do
        case $link in http://* | https://* | mailto:*) continue ;; esac
        target=${link%%#*}
        path=$file
        [ -z "$target" ] || path=$folder/$target
        if [ ! -e "$path" ]; then
            echo "$file: $link: no such file"
            dead=1
        elif [ "$link" != "$target" ] && ! anchors "$path" | grep -qxF -- "${link#*#}"; then
            echo "$file: $link: no such heading"
            dead=1
        fi
    done < <(sed -E '/^```/,/^```/d' "$file" | grep -oE '\]\([^) ]+\)' | sed -E 's/^\]\(//; s/\)$//' || true)
done < <(git ls-files --cached --others --exclude-standard -- '*.md')
exit "$dead"
