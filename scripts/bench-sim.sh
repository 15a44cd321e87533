#!/usr/bin/env bash
# How many simulated seconds a second of a processor brings, alone and with all cores: `make bench-sim`.
# Writes results/bench/sim.md.
set -euo pipefail
cd "$(dirname "$0")/.."
harness=target/dist/harness
seeds=${SEEDS:-1..61}
rounds=${ROUNDS:-5}

# The last progress line of a run: "... S simulated s in C CPU s (R a CPU s), N operations ok, ...".
measure() { # plan jobs
    "$harness" sim "$1" --seeds "$seeds" --jobs "$2" 2>&1 | grep -o '([0-9]* a CPU s), [0-9]* operations' | tail -1 | tr -dc '0-9 ' | awk '{print $1, $2}'
}

median() { sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'; }

row() { # plan jobs
    local lines=() line
    for _ in $(seq "$rounds"); do
        line=$(measure "$1" "$2")
        lines+=("$line")
        echo "$1, $2 jobs: ${line% *} simulated seconds a CPU second" >&2
    done
    echo "| \`$1\` | $2 | $(printf '%s\n' "${lines[@]}" | median) | $(printf '%s\n' "${lines[@]}" | sort -n | awk '{v = $1} END {print v}') | $(printf '%s\n' "${lines[@]}" | awk '{print $2}' | tail -1) |"
}

{
    echo "# The simulation's speed, measured"
    echo
    echo "Written by \`make bench-sim\`: seeds $seeds of each plan, $rounds times: the median, and the best, for the machine is shared. \`speed\` is three nodes under a steady"
    echo "load with kills, power cuts and partitions; \`swarm\` draws everything again for each seed. Every invariant is checked after"
    echo "every event, and every history is checked at the end; both are included, as is the start of the program."
    echo
    echo "| plan | jobs | simulated seconds a CPU second | the best | operations in a round |"
    echo "|-|-|-|-|-|"
    for jobs in 1 "$(nproc)"; do
        row workloads/speed.toml "$jobs"
        row workloads/swarm.toml "$jobs"
    done
} > target/bench-sim.md
mv target/bench-sim.md results/bench/sim.md
cat results/bench/sim.md
