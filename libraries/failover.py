"""Writes through redis-py's Sentinel until its input ends; says what was written, and who answered."""

import sys
import threading
import time

from redis.sentinel import Sentinel

key, cluster, *nodes = sys.argv[1:]
sentinel = Sentinel([node.rsplit(":", 1) for node in nodes], socket_timeout=1)
client = sentinel.master_for(cluster, socket_timeout=1)
ended = threading.Event()
threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
number = 0
while not ended.is_set():
    number += 1
    try:
        client.set(key, number)
        print("wrote", number, client.execute_command("ROLE")[0].decode(), flush=True)
    except Exception as error:
        print("failed", number, repr(error), flush=True)
    time.sleep(0.01)
