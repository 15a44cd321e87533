#!/usr/bin/env python3
"""Does a campaign survive, and does it find a bug? `make campaign-proof` (BUDGET=2h BUG_BUDGET=1h BUG=name PART="valid bug").

valid  The campaign of scripts/campaign-proof.toml runs on three and five nodes in both worlds for BUDGET. Its process is killed with
       SIGKILL twice, at random moments, and the campaign is resumed. It has to be valid, and its folder in order: each unit once and
       none missing, every result that was there at a kill still there, no process, draft or temporary file left.
bug    The same with a harness whose daemon has one of the bugs of harness/bugs/, for BUG_BUDGET. It has to end with one finding; its
       plan has to fail in at least 8 of 10 replays, with at most a quarter of the faults (or one), and to pass without the bug.

HARNESS and NORAFTD name programs that are built already, BUGGY a harness with the bug. SEED repeats the moments of the kills.
"""

import argparse
import json
import os
import pathlib
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
HERE = ROOT / "target/campaign-proof"
# Units of a family, as harness/src/campaign/draw.rs numbers them.
FAMILY = 15
KILLS = 2
# A killed campaign takes its children with it; a machine with other work to do needs a moment for that.
GONE_SECONDS = 60
REPLAYS, REPLAYS_FAILED_MIN = 10, 8
# Of the faults, one in so many may be left.
FAULTS_PART = 4


def say(text):
    print(f"campaign-proof: {time.strftime('%H:%M:%S')} {text}", flush=True)


def fail(text):
    sys.exit(f"campaign-proof: FAILED: {text}")


def require(holds, text):
    if not holds:
        fail(text)


def seconds(text):
    units = {"s": 1, "m": 60, "h": 3600}
    found = re.fullmatch(r"(\d+)([smh])", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text} is no time such as 90s, 4m or 2h")
    return int(found[1]) * units[found[2]]


# Programs


def cargo(tree, programs, target):
    """Builds in `tree`. Two trees never share `target`: cargo takes their packages for the same ones, and what was built last for both."""
    bins = [word for program in programs for word in ("--bin", program)]
    command = ["cargo", "build", "--quiet", "--profile", "bugs", "--target-dir", str(target), *bins]
    if subprocess.run(command, cwd=tree).returncode:
        fail(f"{tree} does not build")
    return pathlib.Path(target) / "bugs"


def program(given, built, folder, name):
    """A copy of its own: a build in the meantime would make another program of it."""
    folder.mkdir(parents=True, exist_ok=True)
    copy = folder / name
    copy.unlink(missing_ok=True)
    shutil.copy2(given or built() / name, copy)
    return copy.resolve()


def clean_programs(args):
    built = []

    def build():
        if not built:
            say("building the programs")
            built.append(cargo(ROOT, ["harness", "noraftd"], os.environ.get("CARGO_TARGET_DIR", ROOT / "target")))
        return built[0]

    folder = HERE / "clean"
    return program(args.harness, build, folder, "harness"), program(args.noraftd, build, folder, "noraftd")


def buggy_harness(args):
    def build():
        say(f"building the harness with {args.bug}")
        return cargo(mutated_tree(args.bug), ["harness"], HERE / "build")

    return program(args.buggy, build, HERE / "buggy", "harness")


def mutated_tree(bug):
    """The sources with the edits of `bug`. Files that are as they were keep their times, so that a second proof builds little."""
    tree = HERE / "tree"
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    wanted = {name: (ROOT / name).read_bytes() for name in names.split("\0") if name and (ROOT / name).is_file()}
    for edit in tomllib.loads((ROOT / f"harness/bugs/{bug}.toml").read_text())["edit"]:
        text = wanted[edit["file"]].decode()
        require(text.count(edit["find"]) == 1, f"{bug} does not fit {edit['file']}")
        wanted[edit["file"]] = text.replace(edit["find"], edit["replace"]).encode()
    for path in tree.rglob("*") if tree.exists() else []:
        if path.is_file() and str(path.relative_to(tree)) not in wanted:
            path.unlink()
    for name, content in wanted.items():
        path = tree / name
        if not path.is_file() or path.read_bytes() != content:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return tree


# The campaign


class Campaign:
    def __init__(self, name, file, budget, harness, noraftd, args):
        self.night = HERE / name
        shutil.rmtree(self.night, ignore_errors=True)
        self.log = HERE / f"{name}.log"
        self.log.unlink(missing_ok=True)
        self.scratch = HERE / f"{name}.tmp"
        shutil.rmtree(self.scratch, ignore_errors=True)
        self.scratch.mkdir(parents=True)
        self.budget, self.harness = budget, harness
        self.command = [str(harness), "campaign", str(file), "--resume", str(self.night), "--budget", f"{budget}s"]
        if noraftd:
            self.command += ["--noraftd", str(noraftd)]
        if args.jobs:
            self.command += ["--jobs", str(args.jobs)]
        self.seen = {}

    def sit(self, until=None):
        """Runs the campaign to its end, or kills it `until` seconds after its start; its exit code."""
        with open(self.log, "a") as log:
            environment = {**os.environ, "TMPDIR": str(self.scratch)}
            child = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=HERE, env=environment)
            try:
                code = child.wait(until)
            except subprocess.TimeoutExpired:
                child.send_signal(signal.SIGKILL)
                code = child.wait()
            except BaseException:
                child.terminate()
                child.wait()
                raise
        self.await_end_of_children()
        return code

    def await_end_of_children(self):
        until = time.monotonic() + GONE_SECONDS
        while left := processes_of(self.night):
            require(time.monotonic() < until, f"processes are left {GONE_SECONDS} s after the campaign: {left}")
            time.sleep(0.1)

    def run(self, seed):
        """All sittings; the exit code of the last."""
        prng = random.Random(seed)
        moments = sorted(prng.uniform(0.05, 0.95) * self.budget for _ in range(KILLS))
        begun = time.monotonic()
        before = 0
        for number, moment in enumerate(moments, 1):
            code = self.sit(moment - before)
            before = moment
            require(code == -signal.SIGKILL, f"over with {code} before it was killed; see {self.log}:\n{self.tail()}")
            units = self.keep_what_is_there()
            say(f"killed after {moment:.1f} s of {self.budget} s ({number} of {KILLS}); {units} units have ended")
        code = self.sit()
        self.keep_what_is_there()
        say(f"ended with exit code {code} after {time.monotonic() - begun:.0f} s")
        return code

    def tail(self):
        return "\n".join(self.log.read_text().splitlines()[-15:])

    def rows(self, *queries):
        """The answers of the ledger. It is copied with its log, so that looking at it changes nothing."""
        with tempfile.TemporaryDirectory() as copy:
            for file in self.night.glob("campaign.sqlite*"):
                shutil.copy(file, copy)
            connection = sqlite3.connect(pathlib.Path(copy) / "campaign.sqlite")
            answers = [connection.execute(query).fetchall() for query in queries]
            connection.close()
        return answers

    def keep_what_is_there(self):
        """Every result that an earlier kill has left is there still, as it was."""
        if not (self.night / "campaign.sqlite").exists():
            require(not self.seen, "the ledger is gone")
            return 0
        # A folder is forgotten when there is no room for it.
        units, runs, failures = self.rows(
            "SELECT id, at, block, first_seed, seeds, build, verdict, reason, unknown, operations, faults, cpu_ms, wall_ms FROM unit",
            "SELECT * FROM run",
            "SELECT * FROM failure",
        )
        now = {"unit": set(units), "run": set(runs), "failure": set(failures)}
        for table, rows in self.seen.items():
            lost = rows - now[table]
            require(not lost, f"lost or run again, in the table {table}: {sorted(lost)[:3]}")
        self.seen = now
        return len(units)

    def check_folder(self):
        """The folder is in order; what it has, in a line."""
        check_names(self.night)
        check, units, runs, meta = self.rows(
            "PRAGMA integrity_check",
            "SELECT id, at, first_seed, seeds, verdict, folder, operations, faults, unknown FROM unit ORDER BY id",
            "SELECT unit, seed, verdict, operations, faults FROM run",
            "SELECT value FROM meta WHERE key = 'spent_ms'",
        )
        require(check == [("ok",)], f"the ledger is damaged: {check}")
        require(self.rows("PRAGMA foreign_key_check")[0] == [], "rows of the ledger refer to none")
        check_units(units, runs)
        spent = int(meta[0][0]) / 1000
        # What is going on at the end of the budget is run to its end.
        require(self.budget <= spent, f"only {spent:.0f} s of {self.budget} s were spent")
        known = {folder for *_, folder, _, _, _ in units if folder}
        there = {f"runs/{path.name}" for path in (self.night / "runs").glob("*")}
        require(known == there, f"folders of runs that no result has, or that are missing: {sorted(known ^ there)}")
        worlds = dict(self.rows("SELECT at, world FROM entry")[0])
        simulated = {unit for unit, at, *_, verdict, _, _, _, _ in units if worlds[at] == "simulation" and verdict != "harness failure"}
        reached = {int(path.stem) for path in (self.night / "coverage").glob("*.json")}
        require(simulated == reached, f"files of coverage without a unit, or missing: {sorted(simulated ^ reached)}")
        for path in (self.night / "coverage").glob("*.json"):
            json.loads(path.read_text())
        left = list(self.scratch.iterdir())
        require(not left, f"temporary files are left: {left}")
        return units

    def report(self):
        """Figures by world and number of nodes."""
        query = (
            "SELECT entry.name, entry.world, count(*), sum(unit.seeds), sum(unit.operations), sum(unit.faults), sum(unit.cpu_ms) / 1000, "
            "sum(unit.unknown) FROM unit JOIN entry USING (at) GROUP BY at ORDER BY entry.world, entry.name"
        )
        found = set()
        for entry, world, units, seeds_, operations, faults, cpu, unknown in self.rows(query)[0]:
            plan = tomllib.loads((self.night / "plans" / f"{entry}.toml").read_text())
            nodes = "nodes by seed" if plan.get("swarm") else f"{plan['cluster']['nodes']} nodes"
            found.add((world, nodes))
            say(f"{entry}: {nodes}, {units} units, {seeds_} seeds, {operations} operations, {faults} faults, {cpu} CPU s, unknown {unknown}")
        return found


def processes_of(folder):
    """Command lines that name `folder`."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in line and int(path.parent.name) != os.getpid() and "campaign-proof.py" not in line:
            found.append(f"{path.parent.name}: {line[:200]}")
    return found


def check_names(night):
    """Nothing but what a campaign keeps."""
    known = {"campaign.sqlite", "plans", "runs", "groups", "coverage"}
    other = {path.name for path in night.iterdir()} - known
    require(not other, f"{sorted(other)} in {night}")
    drafts = [path for path in night.rglob("*") if path.name.endswith((".new", ".tmp", "-journal", "-wal")) or path.name.startswith(".")]
    drafts = [path for path in drafts if "nodes" not in path.relative_to(night).parts]
    require(not drafts, f"drafts are left: {drafts}")


def check_units(units, runs):
    """Each unit once, none missing, and each says what its runs say."""
    by_unit = {}
    for unit, seed, verdict, operations, faults in runs:
        by_unit.setdefault(unit, []).append((seed, verdict, operations, faults))
    seeds_of, ids = {}, {unit[0] for unit in units}
    for unit, at, first, count, verdict, _, operations, faults, unknown in units:
        wanted = set(range(first, first + count))
        again = wanted & seeds_of.setdefault(at, set())
        require(not again, f"unit {unit} repeats the seeds {sorted(again)[:3]} of its entry")
        seeds_of[at] |= wanted
        mine = by_unit.get(unit, [])
        if verdict == "harness failure":
            continue
        require({seed for seed, *_ in mine} == wanted, f"unit {unit} has not a result for each of its seeds")
        sums = (sum(run[2] for run in mine), sum(run[3] for run in mine), sum(run[1] == "unknown" for run in mine))
        require(sums == (operations, faults, unknown), f"unit {unit} says {operations, faults, unknown}, its runs {sums}")
        verdicts = {run[1] for run in mine}
        worst = next(name for name in ("invalid", "unknown", "valid") if name in verdicts)
        require(worst == verdict, f"unit {unit} is {verdict}, its runs {verdicts}")
    # They are begun in order, and what was begun is run to its end.
    bases = sorted(unit // FAMILY for unit in ids if unit % FAMILY == 0)
    require(bases == list(range(len(bases))), f"of {len(bases)} base units some are missing before {bases[-1:]}")
    for unit in ids:
        place = unit % FAMILY + 1
        parent = unit // FAMILY * FAMILY + place // 2 - 1
        require(place == 1 or parent in ids, f"unit {unit} follows {parent}, which is missing")


# The parts


def valid(args):
    harness, noraftd = clean_programs(args)
    say(f"a campaign of {args.budget} s in both worlds, killed {KILLS} times (SEED={args.seed})")
    campaign = Campaign("valid", ROOT / "scripts/campaign-proof.toml", args.budget, harness, noraftd, args)
    code = campaign.run(args.seed)
    units = campaign.check_folder()
    found = campaign.report()
    require(code == 0, f"exit code {code}, where valid is 0; see {campaign.log}:\n{campaign.tail()}")
    for world in ("simulation", "processes"):
        for nodes in (3, 5):
            require((world, f"{nodes} nodes") in found, f"nothing ran on {nodes} nodes in the world {world}: give it more BUDGET")
    say(f"valid: {len(units)} units, killed {KILLS} times, the folder is in order")


def bug(args):
    buggy = buggy_harness(args)
    clean, _ = clean_programs(args)
    require(buggy.read_bytes() != clean.read_bytes(), "the harness with the bug is the one without it")
    say(f"a campaign of {args.bug_budget} s with {args.bug}, killed {KILLS} times (SEED={args.seed})")
    campaign = Campaign("bug", ROOT / "scripts/campaign-proof-bug.toml", args.bug_budget, buggy, None, args)
    code = campaign.run(args.seed + 1)
    campaign.check_folder()
    campaign.report()
    kinds = campaign.rows("SELECT rule, place, count(*), count(DISTINCT entry), count(DISTINCT seed) FROM runs WHERE rule NOT NULL GROUP BY 1, 2")[0]
    for rule, place, count, plans, seeds_ in kinds:
        say(f"found: {rule} in {place}: {count} runs of {plans} plans, {seeds_} seeds")
    require(code == 1, f"exit code {code}, where a finding is 1; see {campaign.log}:\n{campaign.tail()}")
    groups = sorted((campaign.night / "groups").iterdir())
    require(len(kinds) == 1 and len(groups) == 1, f"{len(kinds)} findings, {len(groups)} of them with a folder")
    if kinds[0][3] == 1:
        say("only one plan saw it; with more BUG_BUDGET, others do")
    group = json.loads((groups[0] / "group.json").read_text())
    before, after = group["faults"]
    say(f"its plan failed in {group['again']} of {group['replays']} replays; {after} of {before} faults are left")
    plan = groups[0] / "plan.toml"
    failed = [simulate(buggy, plan) for _ in range(REPLAYS)].count(1)
    say(f"replayed again: {failed} of {REPLAYS} fail with the bug")
    require(min(failed, group["again"]) >= REPLAYS_FAILED_MIN, "it reproduces too seldom")
    require(after <= max(1, before // FAULTS_PART), f"{after} of {before} faults are more than a quarter")
    code = simulate(clean, plan)
    require(code == 0, f"without the bug, {plan} ends with {code}")
    say(f"{args.bug} was found, once, by {kinds[0][3]} plans; its plan fails with the bug and passes without it")


def simulate(harness, plan):
    with tempfile.TemporaryDirectory() as out:
        command = [str(harness), "sim", str(plan), "--out", out]
        return subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode


def main():
    name = os.environ.get
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="valid|bug", help="which campaigns; both when absent")
    parser.add_argument("--budget", type=seconds, default=name("BUDGET") or "2h")
    parser.add_argument("--bug-budget", type=seconds, default=name("BUG_BUDGET") or "1h")
    parser.add_argument("--bug", default=name("BUG") or "torn-tail-is-damage")
    parser.add_argument("--seed", type=int, default=int(name("SEED") or random.randrange(1 << 32)))
    parser.add_argument("--jobs", type=int)
    parser.add_argument("--harness", type=pathlib.Path, default=name("HARNESS"))
    parser.add_argument("--noraftd", type=pathlib.Path, default=name("NORAFTD"))
    parser.add_argument("--buggy", type=pathlib.Path, default=name("BUGGY"))
    args = parser.parse_args()
    known = {"valid": valid, "bug": bug}
    for part in args.parts:
        if part not in known:
            parser.error(f"{part} is neither valid nor bug")
    HERE.mkdir(parents=True, exist_ok=True)
    for part in args.parts or known:
        known[part](args)


main()
