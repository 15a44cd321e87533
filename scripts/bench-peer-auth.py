#!/usr/bin/env python3
"""CPU a write of three nodes, with the peer secret required and without, beside another build, in one run.

usage: scripts/bench-peer-auth.py NEW [OLD] [--rounds N] [--seconds S] [--port-base P]

NEW and OLD are noraftd programs; OLD knows of no secret. For each size of value, the variants take turns, N times,
each with a cluster of its own on loopback; clients keep DEPTH writes under way on each of CONNECTIONS connections at the
leader. Prints the median of: writes a second, CPU of all nodes a write, CPU of the leader a write (microseconds).
"""
import argparse, os, selectors, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

CONNECTIONS, DEPTH, SIZES = 4, 16, (100, 4096, 65536)


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(") ", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def command(*words):
    words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def connect(port):
    return socket.create_connection(("127.0.0.1", port), timeout=10)


class Cluster:
    def __init__(self, program, flags, base):
        self.dir, self.base, self.nodes = tempfile.mkdtemp(prefix="bench-peer-auth-"), base, []
        secret = os.path.join(self.dir, "secret")
        with open(secret, "w") as file:
            file.write("5ec2e7" * 10 + "\n")
        for node in (1, 2, 3):
            peers = [word for peer in (1, 2, 3) for word in ("--peer", f"{peer}=127.0.0.1:{base + 100 + peer}")]
            flags_here = [secret if flag == "SECRET" else flag for flag in flags]
            log = open(os.path.join(self.dir, f"log{node}"), "w")
            self.nodes.append(subprocess.Popen(
                [program, "serve", "--id", str(node), "--data-dir", os.path.join(self.dir, f"n{node}"), "--log", "warn",
                 "--listen", f"127.0.0.1:{base + node}", "--scrub-rate", "0", *peers, *flags_here], stderr=log))

    def leader(self):
        give_up = time.monotonic() + 30
        while time.monotonic() < give_up:
            for node in (1, 2, 3):
                try:
                    with connect(self.base + node) as stream:
                        stream.sendall(command("ROLE"))
                        if b"master" in stream.recv(4096):
                            stream.sendall(command("SET", "k", "v"))
                            if stream.recv(4096).startswith(b"+OK"):
                                return node
                except OSError:
                    pass
            time.sleep(0.1)
        sys.exit(f"no leader within 30 s; see {self.dir}")

    def stop(self):
        for node in self.nodes:
            node.send_signal(signal.SIGTERM)
        for node in self.nodes:
            node.wait(timeout=30)
        shutil.rmtree(self.dir)


def load(port, size, seconds):
    """Writes for so long; how many were acknowledged."""
    write, acknowledged, rests = command("SET", "key", b"x" * size), 0, {}
    selector = selectors.DefaultSelector()
    for _ in range(CONNECTIONS):
        stream = connect(port)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        stream.sendall(write * DEPTH)
        selector.register(stream, selectors.EVENT_READ)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for key, _ in selector.select(timeout=1):
            received = key.fileobj.recv(1 << 16)
            if not received:
                sys.exit("the node closed a connection")
            *replies, rests[key.fd] = (rests.get(key.fd, b"") + received).split(b"\r\n")
            acknowledged += replies.count(b"+OK")
            key.fileobj.sendall(write * len(replies))
    selector.close()
    return acknowledged


def measure(program, flags, base, size, seconds):
    cluster = Cluster(program, flags, base)
    try:
        leader = cluster.leader()
        load(base + leader, size, 1)  # warm
        before = [cpu_seconds(node.pid) for node in cluster.nodes]
        start = time.monotonic()
        writes = load(base + leader, size, seconds)
        took = time.monotonic() - start
        spent = [cpu_seconds(node.pid) - was for node, was in zip(cluster.nodes, before)]
        if not writes:
            sys.exit(f"no write was acknowledged; see {cluster.dir}")
        return writes / took, sum(spent) / writes * 1e6, spent[leader - 1] / writes * 1e6
    finally:
        cluster.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("new")
    parser.add_argument("old", nargs="?")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--port-base", type=int, default=28300)
    args = parser.parse_args()
    variants = [("old, no secret", args.old, [])] if args.old else []
    variants += [("new, off", args.new, []),
                 ("new, require", args.new, ["--peer-secret-file", "SECRET", "--peer-auth", "require"])]
    print(f"{CONNECTIONS} connections, {DEPTH} writes under way on each; median of {args.rounds} rounds of {args.seconds:g} s")
    print(f"{'value':>8}  {'variant':<16}{'writes/s':>10}{'CPU us/write':>14}{'leader us/write':>17}")
    for size in SIZES:
        results = {name: [] for name, _, _ in variants}
        for _ in range(args.rounds):
            for name, program, flags in variants:
                results[name].append(measure(program, flags, args.port_base, size, args.seconds))
        for name, figures in results.items():
            rate, all_nodes, leader = (statistics.median(column) for column in zip(*figures))
            print(f"{size:>7}B  {name:<16}{rate:>10.0f}{all_nodes:>14.1f}{leader:>17.1f}", flush=True)


main()
