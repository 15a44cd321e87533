# Reads the log of scripts/test.sh (a time, then a line) and writes its summary: the slowest tests, and those that
# could not run here.
#
# cargo's test runner gives no durations. But it starts tests in the order of their names, the next one whenever one
# ends, as many at a time as there are threads. So the start of each follows from the ends of the others.

# A program begins: "running 12 tests".
$2 == "running" && $3 ~ /^[0-9]+$/ && $4 ~ /^tests?$/ { began = $1; count = 0; next }

# A test has ended: "test NAME ... ok"; with "- should panic" after some names.
$2 == "test" && $NF ~ /^(ok|FAILED|ignored)$/ && / \.\.\. / {
    name = $0
    sub(/^[^ ]+ test /, "", name)
    sub(/( - should panic)? \.\.\. [A-Za-z]+$/, "", name)
    names[++count] = name
    ended[name] = $1
    total[$NF]++
    next
}

# A program has ended: "test result: ok. 12 passed; ...".
$2 == "test" && $3 == "result:" { durations(); next }

/ skipped: / {
    line = $0
    sub(/^.* skipped: /, "", line)
    skipped[++skips] = line
}

END {
    slowest(20)
    printf "\n%d passed, %d failed, %d ignored; of those that passed, %d did nothing, for they cannot run here%s\n",
        total["ok"], total["FAILED"], total["ignored"], skips, skips ? ":" : ""
    for (i = 1; i <= skips; i++) printf "  skipped: %s\n", skipped[i]
}

# The durations of the tests of one program: `names` in the order of their ends.
function durations(    i, j, name, order, next_start, is_started) {
    for (i = 1; i <= count; i++) {
        name = names[i]
        for (j = i - 1; j > 0 && order[j] > name; j--) order[j + 1] = order[j]
        order[j + 1] = name
    }
    for (next_start = 1; next_start <= threads && next_start <= count; next_start++) start[order[next_start]] = began
    for (i = 1; i <= count; i++) {
        name = names[i]
        if (next_start <= count) start[order[next_start++]] = ended[name]
        all[++tests] = sprintf("%.2f %s", ended[name] - start[name], name)
    }
}

function slowest(most,    i, j, line) {
    for (i = 2; i <= tests; i++) {
        line = all[i]
        for (j = i - 1; j > 0 && all[j] + 0 < line + 0; j--) all[j + 1] = all[j]
        all[j + 1] = line
    }
    print "The slowest tests, in seconds, beside the others that ran:"
    for (i = 1; i <= most && i <= tests; i++) {
        split(all[i], part, " ")
        printf "  %8.2f  %s\n", part[1], substr(all[i], length(part[1]) + 2)
    }
}
