#!/usr/bin/env python3
"""How long a cluster of three acknowledges no write when its leader is stopped with SIGTERM, or killed.

    scripts/bench-handover.py NORAFTD [--signal TERM|KILL] [--times 10]

Four clients write through each follower, one request at a time. The gap is the longest time between two acknowledged
writes, from just before the signal until another node has led for a second. The stopped node is started again before
the next time.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
import time


class Client:
    """Speaks enough RESP for one request at a time."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(5)
        self.socket.connect(path)
        self.lines = self.socket.makefile("rb")

    def call(self, *words):
        parts = [b"*%d\r\n" % len(words)]
        parts += [b"$%d\r\n%s\r\n" % (len(word), word) for word in (word.encode() for word in words)]
        self.socket.sendall(b"".join(parts))
        line = self.lines.readline()
        if line.startswith(b"$"):
            return self.lines.read(int(line[1:]) + 2)[:-2]
        return line.strip()


class Node:
    def __init__(self, program, directory, at):
        self.path = f"{directory}/c{at}.sock"
        peers = [word for peer in (1, 2, 3) for word in ("--peer", f"{peer}=unix:{directory}/p{peer}.sock")]
        self.command = [program, "serve", "--id", str(at), "--data-dir", f"{directory}/n{at}"]
        self.command += ["--listen", f"unix:{self.path}", "--log", "error", *peers]
        self.id = at

    def start(self):
        self.process = subprocess.Popen(self.command)
        while True:
            try:
                return Client(self.path).call("PING")
            except OSError:
                time.sleep(0.01)

    def status(self):
        return json.loads(Client(self.path).call("NORAFT.STATUS"))


def leader(nodes):
    """The node that all of them say leads."""
    while True:
        said = {node.status()["leader"] for node in nodes}
        if len(said) == 1 and None not in said:
            return said.pop()
        time.sleep(0.05)


def write(path, is_over, times, errors):
    client = Client(path)
    while not is_over.is_set():
        reply = client.call("SET", "key", "value")
        if reply == b"+OK":
            times.append(time.monotonic())
        else:
            errors.append(reply)


def measure(nodes, number):
    """The longest gap in seconds, and what was answered to writes that were not acknowledged."""
    stopped = nodes[leader(nodes) - 1]
    others = [node for node in nodes if node is not stopped]
    is_over, times, errors = threading.Event(), [], []
    writers = [threading.Thread(target=write, args=(node.path, is_over, times, errors)) for node in others * 4]
    for writer in writers:
        writer.start()
    time.sleep(1)
    begins = time.monotonic()
    stopped.process.send_signal(number)
    stopped.process.wait()
    leader(others)
    time.sleep(1)
    is_over.set()
    for writer in writers:
        writer.join()
    stopped.start()
    leader(nodes)
    times = sorted(at for at in times if at > begins - 0.1)
    return max(after - before for before, after in zip(times, times[1:])), errors


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("noraftd")
    parser.add_argument("--signal", choices=["TERM", "KILL"], default="TERM")
    parser.add_argument("--times", type=int, default=10)
    given = parser.parse_args()
    number = signal.Signals[f"SIG{given.signal}"]
    with tempfile.TemporaryDirectory() as directory:
        nodes = [Node(os.path.abspath(given.noraftd), directory, at) for at in (1, 2, 3)]
        for node in nodes:
            node.start()
        measured = [measure(nodes, number) for _ in range(given.times)]
        for node in nodes:
            node.process.kill()
            node.process.wait()
    gaps = sorted(gap * 1000 for gap, _ in measured)
    errors = [error for _, errors in measured for error in errors]
    print(f"gap between acknowledged writes, ms: median {gaps[len(gaps) // 2]:.1f}, worst {gaps[-1]:.1f}, of {len(gaps)}")
    print(f"writes that were not acknowledged: {len(errors)} {sorted(set(errors))}")


if __name__ == "__main__":
    main()
