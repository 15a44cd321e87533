#!/usr/bin/env python3
"""Tests systems that others wrote with the plans of workloads/systems, and writes results/systems.md.

Usage: scripts/systems.py [--seeds 5] [--time 40s] [--harness target/release/harness] [--only etcd,redis-sentinel] [--out results/systems.md]
A system whose programs are missing is left out, and the page says so. Runs are kept in results/runs/systems.
"""
import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

PLANS = ["failover", "outage"]
SYSTEMS = ["noraftd", "etcd", "redis-sentinel", "nats-jetstream"]
RUNS = Path("results/runs/systems")

HEAD = """# Systems that others wrote

*Made by `scripts/systems.py` (`make systems`).* The same plans on noraftd, etcd, Redis with Sentinel and NATS JetStream, each as the files in `harness/systems/` start it, three
nodes on one machine, {cpus} processors, Linux {kernel}. `failover` kills, pauses and cuts off the leader; `outage` cuts the power of all nodes at once, on an ext4 file system a node (root).
A run is *invalid* when no order of the operations explains what clients saw.

| system | plan | seeds | valid | invalid | unknown | faults with an effect | operations ok |
|-|-|-|-|-|-|-|-|
"""

# What is known of the causes, by system: facts that were looked up, with where they are from.
NOTES = {
    "redis-sentinel": "Replication is asynchronous: a leader that is paused or cut off acknowledges writes that its successor never had.",
    "nats-jetstream": "Of two compare-and-sets of one value that come at the same time, a clustered stream of this version may accept both; no fault is needed "
    "([nats-server, issue 4320](https://github.com/nats-io/nats-server/issues/4320)). After a power cut of all nodes, none of them served the bucket again within a minute: by default, the files of a "
    "stream are synced every two minutes.",
}


def run(harness, system, plan, seed, time):
    out = RUNS / system
    command = [harness, "run", f"workloads/systems/{plan}.toml", "--system", system, "--seed", str(seed)]
    command += ["--time", time, "--out", str(out), "--keep", "100"]
    done = subprocess.run(command, capture_output=True, text=True)
    if "apt-get install" in done.stderr:
        return None, done.stderr.strip().splitlines()[-1]
    if done.returncode not in (0, 1, 2):
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    results = json.loads((out / "latest" / "results.json").read_text())
    print(f"{system} {plan} seed {seed}: {results['verdict']}", flush=True)
    return results, None


def broken(results):
    for check in results["checks"]:
        if check["verdict"] == "invalid":
            return f"{check['model']}: {check.get('summary', '')}"
    return None


def row(system, plan, all_results):
    verdicts = [results["verdict"] for results in all_results]
    count = lambda verdict: verdicts.count(verdict)
    faults = sum(1 for results in all_results for fault in results.get("faults", []) if fault.get("evidence"))
    operations = sum(results["operations"]["ok"] for results in all_results)
    cells = [system, plan, len(verdicts), count("valid"), count("invalid"), count("unknown"), faults, operations]
    return "| " + " | ".join(str(cell) for cell in cells) + " |\n"


def section(system, plans):
    versions = next((results.get("system") for all_results in plans.values() for _, results in all_results), system)
    text = f"\n## {versions}\n"
    if system in NOTES:
        text += f"\n{NOTES[system]}\n"
    for plan, all_results in plans.items():
        left_out = {line for _, results in all_results for line in results.get("remarks", []) if line.startswith("left out")}
        found = [(seed, broken(results)) for seed, results in all_results if broken(results)]
        doubts = [(seed, results["reasons"][0]) for seed, results in all_results if results["verdict"] == "unknown"]
        if found:
            seed, what = found[0]
            text += f"\n`{plan}` found a violation in {len(found)} of {len(all_results)} runs; with seed {seed}: {what}.\n"
        elif all(results["verdict"] == "valid" for _, results in all_results):
            text += f"\n`{plan}` found nothing in {len(all_results)} runs.\n"
        for seed, reason in doubts:
            text += f"\n`{plan}`, seed {seed}, is unknown: {reason}.\n"
        for line in sorted(left_out):
            text += f"\n`{plan}`, {line}.\n"
        seed = found[0][0] if found else all_results[0][0]
        text += f"\n    harness run workloads/systems/{plan}.toml --system {system} --seed {seed}\n"
    return text


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--time", default="40s")
    parser.add_argument("--harness", default="target/release/harness")
    parser.add_argument("--only", default=",".join(SYSTEMS))
    parser.add_argument("--out", default="results/systems.md")
    args = parser.parse_args()
    os.chdir(Path(__file__).parent.parent)
    kernel = os.uname().release
    rows, sections, missing = "", "", ""
    for system in args.only.split(","):
        plans = {}
        for plan in PLANS:
            for seed in range(1, args.seeds + 1):
                results, lacks = run(args.harness, system, plan, seed, args.time)
                if results is None:
                    missing += f"\nLeft out: {lacks}\n"
                    break
                plans.setdefault(plan, []).append((seed, results))
            if plan in plans:
                rows += row(system, plan, [results for _, results in plans[plan]])
        if plans:
            sections += section(system, plans)
    page = HEAD.format(cpus=os.cpu_count(), kernel=kernel) + rows + missing + sections
    Path(args.out).write_text(page)
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
