"""Items that look at one program at a time: memory, start-up, timers, and the dispatch of a read."""
import json
import os
import re
import shutil
import socket
import statistics as st
import subprocess
import time

import measure
import servers
from servers import BIN, Server, present

IDLE = int(os.environ.get("BENCH_IDLE", "9000"))
# Seconds after which a server without work has given back what it is going to.
SETTLED = 2.5


def hold_argv(role):
    return {"http": ["-H", "/"], "tls": ["-T", "-m", "64"]}.get(role, ["-m", "64"])


def idle_count(role, name):
    """How many idle connections: to shake hands 9,000 times takes some peers minutes (Prosody leaves
    Nagle on), and what a TLS connection takes is as clear from 1,000."""
    return min(IDLE, 1000) if role == "tls" and name not in ("raw-libev", "gadwall") else IDLE


def idle_memory(role, name):
    """What one server takes with nothing to do, by idle connection, and after they are gone."""
    count = idle_count(role, name)
    server = Server(role, name)
    try:
        if not server.wait():
            return {"failed": server.last_words()}
        time.sleep(SETTLED) # or what a start leaves behind would be taken for connections
        pids = server.pids()
        rss0, pss0 = measure.memory(pids)
        each = [measure.memory([p])[1] for p in pids]
        with measure.Hold(server.port, count, ["-t", "120", *hold_argv(role)]) as hold:
            if not hold.ready():
                return {"failed": hold.errors.strip()}
            time.sleep(SETTLED)
            rss1, pss1 = measure.memory(pids)
        time.sleep(SETTLED)
        rss2, _ = measure.memory(pids)
        return {"idle_rss": rss0, "idle_pss": pss0, "per_rss": (rss1 - rss0) / count,
            "per_pss": (pss1 - pss0) / count, "connections": count, "after_rss": rss2,
            "pss_by_process": each}
    finally:
        server.stop()


def memory():
    MiB = 1048576
    print(f"\n## memory: {IDLE} idle connections after one message each (1,000 of TLS peers); PSS by "
        "process: keeper, worker")
    print(f"{'server':22}{'B/conn':>8}{'(PSS)':>8}{'idle RSS':>10}{'PSS MiB':>9}{'after/idle':>11}  processes")
    out = {}
    for role in ("echo", "http", "tls"):
        for name in present(role):
            f = out[f"{role} {name}"] = idle_memory(role, name)
            if "failed" in f:
                print(f"{role + ' ' + name:22} not reported: {f['failed']}")
                continue
            each = " ".join(f"{p / MiB:.1f}" for p in f["pss_by_process"])
            print(f"{role + ' ' + name:22}{f['per_rss']:8.0f}{f['per_pss']:8.0f}{f['idle_rss'] / MiB:10.2f}"
                f"{f['idle_pss'] / MiB:9.2f}{f['after_rss'] / f['idle_rss']:11.2f}  {each}", flush=True)
    return out


def first_answer(server, question):
    """Milliseconds from exec to the first answer."""
    end = time.monotonic() + 15
    while time.monotonic() < end:
        with socket.socket() as s:
            s.settimeout(5)
            try:
                s.connect(("127.0.0.1", server.port))
                s.sendall(question)
                if s.recv(4096):
                    return (time.perf_counter() - server.began) * 1e3
            except OSError:
                time.sleep(0.0002)
    return None


def start(rounds):
    print(f"\n## start: ms from exec to the first answer, of {rounds}")
    questions = {"echo": b"x" * 63 + b"\n", "http": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"}
    times = {}
    for _ in range(rounds):
        for role, question in questions.items():
            for name in present(role):
                server = Server(role, name)
                try:
                    ms = first_answer(server, question)
                finally:
                    server.stop()
                if ms:
                    times.setdefault(f"{role} {name}", []).append(ms)
                else:
                    print(f"{role} {name} did not answer: {server.last_words()}")
    for name, ms in times.items():
        print(f"{name:22} median {st.median(ms):8.2f}  least {min(ms):8.2f}")
    return times


def timers(rounds):
    """1,000,000 timers added, moved and cancelled: raw libev in C, gadwall and Prosody from Lua."""
    script = os.path.join(servers.HERE, "peers/timers.lua")
    runs = {"raw-libev": [os.path.join(BIN, "timers")], "gadwall": [servers.GADWALL, "lua", script]}
    if os.path.isdir(servers.PROSODY):
        runs["prosody"] = [shutil.which("lua5.4"), script]
    out = {name: [] for name in runs}
    for _ in range(rounds):
        for name, argv in runs.items():
            argv = argv + ["1000000"] + ([servers.PROSODY] if name == "prosody" else [])
            run = subprocess.run(["taskset", "-c", "0", *argv], capture_output=True, text=True,
                timeout=120, check=True)
            out[name].append({k: float(v) for k, v in re.findall(r'"(\w+)":([\d.]+)', run.stdout)})
    print("\n## timers: 1,000,000, ns each (median)")
    for name, results in out.items():
        add, move, cancel = (st.median(r[k] for r in results) for k in ("add_ns", "resched_ns", "cancel_ns"))
        print(f"{name:15} add {add:7.1f}  reschedule {move:7.1f}  cancel {cancel:7.1f}  "
            f"add and cancel {add + cancel:7.1f}")
    return out


def dispatch(rounds):
    """One read, and one line, to Lua and back to the send, without system calls; what of a read is
    not the way to Lua and back; and the least that this way costs on this machine in this minute
    (bare.c)."""
    print(f"\n## dispatch: ns of CPU time a callback, least of all batches of {rounds} runs")
    runs = {"bare C and Lua": ["bare"], "read of 64 bytes": ["dispatch"],
        "read, unheard": ["dispatch", "-u"], "line of 64 bytes": ["dispatch", "-l", "-n", "5"]}
    out = {what: [] for what in runs}
    for _ in range(rounds):
        for what, argv in runs.items():
            run = subprocess.run(["taskset", "-c", "0", os.path.join(BIN, argv[0]), *argv[1:]],
                capture_output=True, text=True, timeout=120, check=True)
            out[what].append(json.loads(run.stdout)["least_ns"])
    bare = min(out["bare C and Lua"])
    for what, least in out.items():
        print(f"{what:18} {min(least):7.1f}  {min(least) / bare:5.2f} x bare")
    return out
