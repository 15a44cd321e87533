#!/usr/bin/env python3
"""How long a loaded cluster of three acknowledges no write when its leader goes, and what a write costs.

    scripts/bench-gaps.py NORAFTD [--old NORAFTD] [--etcd etcd] [--times 30] [--out results/bench/gaps.md]

Four ways for a leader to go: SIGKILL, SIGTERM, a transfer to another node, and a rolling restart (SIGTERM and a start of each node in turn, with the
same settings). Eight clients write through the nodes that stay, one request at a time; in a rolling restart through all, and a client whose node
is away goes to the next one. The gap is the longest time between two acknowledged writes, from just before the act until a second after it.
The systems take turns, so that what else runs on the machine meets all of them.

Then redis-benchmark (64 clients, SET of 256 bytes) writes to the leader of each noraftd in turn: processor time of all three nodes a write.
"""

import argparse
import datetime
import http.client
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import threading
import time

HEARTBEAT_MS, ELECTION_MS = 50, 500
PATIENCE = 60


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def eventually(what, look):
    """What `look` gives once it gives something; an error that says what was waited for, when it does not in time."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            found = look()
            if found:
                return found
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            pass
        time.sleep(0.02)
    raise SystemExit(f"not within {PATIENCE} s: {what}")


class Resp:
    """Speaks enough RESP for one request at a time."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.lines = self.socket.makefile("rb")

    def call(self, *words):
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in (word.encode() for word in words)]
        self.socket.sendall(b"".join(parts))
        line = self.lines.readline()
        if not line:
            raise OSError("the connection ended")
        if line.startswith(b"$"):
            return self.lines.read(int(line[1:]) + 2)[:-2]
        return line.strip()

    def write(self):
        reply = self.call("SET", "key", "value")
        return None if reply == b"+OK" else reply.decode()


class Http:
    """Speaks to etcd's gateway."""

    def __init__(self, port):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def call(self, path, body):
        self.connection.request("POST", path, json.dumps(body))
        answer = self.connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise ValueError(said.decode())
        return json.loads(said)

    def write(self):
        try:
            self.call("/v3/kv/put", {"key": "a2V5", "value": "dmFsdWU="})
            return None
        except ValueError as error:
            return str(error)


class Node:
    """A process of a cluster; `command` starts it."""

    def __init__(self, client, port, command):
        self.client, self.port, self.command, self.process = client, port, command, None

    def start(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self, number):
        self.process.send_signal(number)
        self.process.wait()

    def cpu(self):
        """Seconds of the processor so far."""
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Noraftd:
    def __init__(self, name, program, directory, transfers):
        self.name, self.transfers = name, transfers
        peers = [free_port() for _ in range(3)]
        given = [word for at, port in enumerate(peers, 1) for word in ("--peer", f"{at}=127.0.0.1:{port}")]
        self.nodes = []
        for at in (1, 2, 3):
            port = free_port()
            command = [program, "serve", "--id", str(at), "--data-dir", f"{directory}/n{at}", "--log", "error"]
            command += ["--listen", f"127.0.0.1:{port}", "--heartbeat", f"{HEARTBEAT_MS}ms"]
            self.nodes.append(Node(Resp, port, command + ["--election-timeout", f"{ELECTION_MS}ms", *given]))

    def leader_of(self, node):
        leader = json.loads(Resp(node.port).call("NORAFT.STATUS"))["leader"]
        return None if leader is None else self.nodes[leader - 1]

    def transfer(self, leader, to):
        Resp(leader.port).call("NORAFT.TRANSFER", str(self.nodes.index(to) + 1))


class Etcd:
    transfers = True

    def __init__(self, name, program, directory):
        self.name, self.ids = name, {}
        peers = {f"n{at}": f"http://127.0.0.1:{free_port()}" for at in (1, 2, 3)}
        cluster = ",".join(f"{name}={url}" for name, url in peers.items())
        self.nodes = []
        for own, url in peers.items():
            port = free_port()
            client = f"http://127.0.0.1:{port}"
            command = [program, "--name", own, "--data-dir", f"{directory}/{own}", "--initial-cluster", cluster]
            command += ["--listen-peer-urls", url, "--initial-advertise-peer-urls", url]
            command += ["--listen-client-urls", client, "--advertise-client-urls", client]
            command += ["--heartbeat-interval", str(HEARTBEAT_MS), "--election-timeout", str(ELECTION_MS)]
            self.nodes.append(Node(Http, port, command))

    def leader_of(self, node):
        said = Http(node.port).call("/v3/maintenance/status", {})
        self.ids[said["header"]["member_id"]] = node
        return self.ids.get(said.get("leader"))

    def transfer(self, leader, to):
        own = next(id for id, node in self.ids.items() if node is to)
        Http(leader.port).call("/v3/maintenance/transfer-leadership", {"targetID": own})


def leader(system, nodes):
    """The node that all of `nodes` say leads."""

    def agreed():
        for node in nodes:
            system.leader_of(node)
        said = [system.leader_of(node) for node in nodes]
        return said[0] if all(one is said[0] for one in said) else None

    return eventually(f"{system.name} has a leader", agreed)


class Load:
    """Clients that write all the time, and when they were acknowledged."""

    def __init__(self, doors):
        self.is_over, self.times, self.errors = threading.Event(), [], []
        self.threads = [threading.Thread(target=self.write, args=(doors, at)) for at in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def write(self, doors, at):
        client = None
        while not self.is_over.is_set():
            try:
                client = client or doors[at % len(doors)].client(doors[at % len(doors)].port)
                refused = client.write()
            except (OSError, http.client.HTTPException) as error:
                client, at, refused = None, at + 1, type(error).__name__
                time.sleep(0.002)
            if refused is None:
                self.times.append(time.monotonic())
            else:
                self.errors.append(refused.split(";")[0])

    def end(self):
        self.is_over.set()
        for thread in self.threads:
            thread.join()


def act(system, kind, old):
    """The leader goes; returns once that is over, and gives the nodes that have to be started."""
    others = [node for node in system.nodes if node is not old]
    if kind == "kill":
        old.stop(signal.SIGKILL)
        return [old]
    if kind == "term":
        old.stop(signal.SIGTERM)
        return [old]
    if kind == "transfer":
        system.transfer(old, others[0])
        return []
    for node in [*others, old]:
        node.stop(signal.SIGTERM)
        node.start()
        leader(system, system.nodes)
    return []


def measure(system, kind):
    """The longest gap in seconds, and what was said to writes that were not acknowledged."""
    old = leader(system, system.nodes)
    others = [node for node in system.nodes if node is not old]
    load = Load(system.nodes if kind == "rolling" else others)
    time.sleep(0.5)
    begins = time.monotonic()
    stopped = act(system, kind, old)
    leader(system, [node for node in system.nodes if node not in stopped])
    time.sleep(1)
    load.end()
    for node in stopped:
        node.start()
    leader(system, system.nodes)
    times = sorted(at for at in load.times if at > begins - 0.1)
    return max(after - before for before, after in zip(times, times[1:])), load.errors


def cpu_of_writes(system, count):
    """Microseconds of the processor a write, of all nodes."""
    first = leader(system, system.nodes)
    before = sum(node.cpu() for node in system.nodes)
    command = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(first.port), "-t", "set", "-d", "256", "-c", "64"]
    subprocess.run([*command, "-n", str(count), "-r", "10000", "-q"], check=True, stdout=subprocess.DEVNULL)
    return (sum(node.cpu() for node in system.nodes) - before) / count * 1e6


def ms(seconds):
    return f"{seconds * 1000:.0f} ms" if seconds >= 0.01 else f"{seconds * 1000:.1f} ms"


def report(given, gaps, errors, cpu, load):
    """The result as a page."""
    systems = list(dict.fromkeys(system for system, _ in gaps))
    page = ["# Gaps between acknowledged writes", ""]
    page += [f"Made by `scripts/bench-gaps.py` on {datetime.date.today()}. {os.cpu_count()} cores, {platform.platform()}; load of the machine "
             f"{load[0]:.1f} before and {load[1]:.1f} after, the clients and the servers of this run among it. {given.beside}".strip(), ""]
    page += [f"Three nodes on one machine, heartbeat {HEARTBEAT_MS} ms, election timeout {ELECTION_MS} ms, {CLIENTS} clients that write one request at a time through "
             "the nodes that stay (in a rolling restart through all). The longest time between two acknowledged writes: median and worst of "
             f"{given.times}; the systems take turns. In brackets the writes that were refused, unknown or cut off.", ""]
    page += ["| the leader goes | " + " | ".join(systems) + " |", "|-|" + "-|" * len(systems)]
    for kind, words in KINDS.items():
        cells = []
        for system in systems:
            measured = sorted(gaps.get((system, kind), []))
            lost = len(errors.get((system, kind), []))
            cells.append(f"{ms(statistics.median(measured))}, {ms(measured[-1])} ({lost})" if measured else "-")
        page.append(f"| {words} | " + " | ".join(cells) + " |")
    if cpu:
        page += ["", "Processor time of all three nodes a write (redis-benchmark, 64 clients, 256 bytes, to the leader; medians of "
                 f"{len(next(iter(cpu.values())))} rounds that take turns):", ""]
        page += [f"- {system}: {statistics.median(values):.1f} us" for system, values in cpu.items()]
        first, *rest = cpu.values()
        for old in rest:
            ratio = statistics.median(new / before for new, before in zip(first, old))
            page.append(f"- ratio, median of the rounds' ratios: {ratio:.2f}")
    return "\n".join(page) + "\n"


KINDS = {"kill": "SIGKILL", "term": "SIGTERM", "transfer": "transfer", "rolling": "rolling restart of all three"}
CLIENTS = 8


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("noraftd")
    parser.add_argument("--old", help="an earlier noraftd (scripts/old-release.sh)")
    parser.add_argument("--etcd", help="the program etcd")
    parser.add_argument("--times", type=int, default=30)
    parser.add_argument("--cpu-rounds", type=int, default=5)
    parser.add_argument("--cpu-writes", type=int, default=100_000)
    parser.add_argument("--beside", default="", help="what else ran on the machine, for the page")
    parser.add_argument("--out", help="the page; else it is printed")
    given = parser.parse_args()
    before = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as directory:
        systems = [Noraftd("noraftd", os.path.abspath(given.noraftd), f"{directory}/new", True)]
        if given.old:
            systems.append(Noraftd("noraftd before", os.path.abspath(given.old), f"{directory}/old", False))
        if given.etcd:
            systems.append(Etcd("etcd", given.etcd, f"{directory}/etcd"))
        gaps, errors, cpu = {}, {}, {}
        nodes = [node for system in systems for node in system.nodes]
        try:
            for place in ("new", "old", "etcd"):
                os.mkdir(f"{directory}/{place}")
            for node in nodes:
                node.start()
            for turn in range(given.times):
                for kind in KINDS:
                    for system in systems:
                        if kind == "transfer" and not system.transfers:
                            continue
                        gap, refused = measure(system, kind)
                        gaps.setdefault((system.name, kind), []).append(gap)
                        errors.setdefault((system.name, kind), []).extend(refused)
                print(f"{turn + 1} of {given.times}", flush=True)
            if shutil.which("redis-benchmark"):
                for _ in range(given.cpu_rounds):
                    for system in systems[: 2 if given.old else 1]:
                        cpu.setdefault(system.name, []).append(cpu_of_writes(system, given.cpu_writes))
        finally:
            for node in nodes:
                if node.process and node.process.poll() is None:
                    node.stop(signal.SIGKILL)
    page = report(given, gaps, errors, cpu, (before, os.getloadavg()[0]))
    if given.out:
        with open(given.out, "w") as out:
            out.write(page)
    print(page)
    for key, refused in errors.items():
        print(*key, {reason: refused.count(reason) for reason in sorted(set(refused))})


if __name__ == "__main__":
    main()
