"""Items of the benchmark that ask for more than one load on one server: growth with the number of
connections, what a second worker brings and how two share, pauses of the garbage collector."""
import json
import os
import re
import resource
import statistics as st
import subprocess
import time

import measure
import servers
from servers import HERE, Server

BOTH = "0,1"  # both cores: neither server nor load is pinned


def most_connections():
    """As many as server and load may have with the file limit that they inherit."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1000


def growth_round(running, n, seconds, redo):
    """name -> CPU per message of either server with n connections, one after the other; or why
    there is none."""
    argv = ["load", "-c", n, "-d", 1, "-t", seconds, "-w", 0.25]
    for _ in range(redo + 1):
        found = {name: measure.once(server, argv) for name, server in running.items()}
        refused = [f"{name} {n}: {r['refused']}" for name, r in found.items()
            if r["refused"] not in (None, "generator")]  # CPU an answer counts all the same
        if not refused:
            return {name: r["us_per"] for name, r in found.items()}, None
    return None, "; ".join(refused)


def growth(rounds, seconds, redo):
    """CPU per message of an echo by connections, and how it grows, beside raw libev's: the servers
    are compared within a round, as everywhere, and each goes first in every other one."""
    counts = [n for n in (100, 1000, 10000) if n < most_connections()] + [most_connections()]
    running = {name: Server("echo", name) for name in ("raw-libev", "gadwall")}
    found = {n: [] for n in counts}
    refused = []
    try:
        for server in running.values():
            if not server.wait():
                return {"failed": server.last_words()}
        for _ in range(rounds):
            for n in counts:
                us, why = growth_round(running, n, seconds, redo)
                if us:
                    found[n].append(us)
                else:
                    refused.append(why)
            running = dict(reversed(running.items()))
    finally:
        for server in running.values():
            server.stop()
    return growth_report(found, refused)


def growth_report(found, refused):
    """found: number of connections -> rounds, each name -> CPU per message."""
    counts = list(found)
    found = {n: rounds for n, rounds in found.items() if rounds}
    print(f"\n## growth: CPU us a message by connections; the file limit allows {counts[-1]}")
    out = {"refused": refused, "us": {}}
    for name in ("raw-libev", "gadwall"):
        out["us"][name] = {n: st.median(r[name] for r in rounds) for n, rounds in found.items()}
        print(f"{name:15}" + "".join(f"{n:>9}: {us:6.3f}" for n, us in out["us"][name].items()))
    by_raw = {n: st.median(r["gadwall"] / r["raw-libev"] for r in rounds) for n, rounds in found.items()}
    for n in counts[1:]:
        if n in by_raw and counts[0] in by_raw:
            ratio = by_raw[n] / by_raw[counts[0]]
            out.setdefault("growth_of_raw", {})[n] = ratio
            print(f"from {counts[0]} to {n}: {ratio:.3f} of raw libev's own growth")
    for line in refused:
        print(f"not counted: {line}")
    return out


def wait_for_workers(server, count, seconds=20):
    """Until so many workers serve; False if they never did."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        status, text = server.command("status", "--json")
        workers = [w for g in json.loads(text)["generations"] for w in g["workers"]] if not status else []
        if sum(w["state"] == "serving" for w in workers) >= count:
            return True
        time.sleep(0.05)
    return False


def refuse_unpinned(r):
    """Nothing is pinned and load and workers share two cores: a round counts if the workers had
    all that the load and others left, and the load never had a whole core."""
    why = measure.refuse_always(r)
    if why:
        return why
    if r["client_cpu"] >= measure.LIMITS["BENCH_SATURATED"]:
        return "generator"
    free = r["cores"] - r["client_cpu"] - r["foreign"]
    return "workers not busy" if r["server_cpu"] < measure.LIMITS["BENCH_FULL"] * free else None


def workers_round(server, count, seconds):
    """One round; `cores` are those that server and load could have used."""
    def refuse(r):
        # One worker is one thread: it and the load on the other core are all that can be busy.
        if "failed" not in r:
            r["cores"] = 2 if count > 1 else 1 + r["client_cpu"] + r["foreign"]
        return refuse_unpinned(r)
    argv = ["load", "-c", 64, "-d", 16, "-t", seconds, "-w", 0.25]
    return measure.once(server, argv, BOTH, refuse)


def workers(rounds, seconds, redo):
    """Lines a second of two workers by those of one, with a callback that needs the CPU."""
    running = {n: Server("busy", f"gadwall-{n}", BOTH) for n in (1, 2)}
    found = {1: [], 2: []}
    try:
        for n, server in running.items():
            if not server.wait() or not wait_for_workers(server, n):
                return {"failed": server.last_words() or f"{n} workers did not serve"}
        for r in range(rounds):
            for n in (1, 2) if r % 2 == 0 else (2, 1):
                for _ in range(redo + 1):
                    result = workers_round(running[n], n, seconds)
                    if not result["refused"]:
                        break
                found[n].append(result)
    finally:
        for server in running.values():
            server.stop()
    return workers_report(found)


def workers_report(found):
    print("\n## workers: lines that cost the callback CPU, 64 connections, 16 in flight; nothing is pinned")
    print("A round counts if the load had less than a core and the workers had at least "
        f"{measure.LIMITS['BENCH_FULL']:.0%} of what it and others left them.")
    for n, results in found.items():
        for r in results:
            print(f"workers = {n}  " + (f"refused: {r['refused']}  " if r["refused"] else "")
                + ("" if "failed" in r else f"{r['rate']:8.0f} lines/s  {r['us_per']:6.1f} us each  "
                    f"cores: workers {r['server_cpu']:.2f}, load {r['client_cpu']:.2f}, "
                    f"others {r['foreign']:.2f}"))
    pairs = [(a, b) for a, b in zip(found[1], found[2]) if not a["refused"] and not b["refused"]]
    if len(pairs) * 2 <= len(found[1]):
        return {"failed": "too many rounds were refused", "rounds": found}
    ratio = st.median(b["rate"] / a["rate"] for a, b in pairs)
    # What one worker does a second, against two cores full of workers and the load they need.
    most = st.median(2 / (1 + a["client_cpu"] / a["server_cpu"]) / a["server_cpu"] for a, _ in pairs)
    alone = st.median(2 * a["us_per"] / b["us_per"] for a, b in pairs)
    print(f"two against one: {ratio:.2f}; if a line cost them what it costs one, two cores could show "
        f"{most:.2f}, because the load needs its part; by CPU a line, with the load elsewhere: {alone:.2f}")
    return {"ratio": ratio, "most": most, "by_cpu": alone, "rounds": found}


def told(server):
    """worker → (connections, accepted, wake-ups), from the newest lines of the log."""
    with open(server.log, encoding="utf-8") as f:
        found = re.findall(r"worker (\d+) has (\d+), accepted (\d+), woken (\d+)", f.read())
    return {int(w): (int(a), int(b), int(c)) for w, a, b, c in found}


def share(connections=10000):
    """How two workers share connections that come one by one and stay."""
    connections = min(connections, most_connections())
    server = Server("share", "gadwall-2", BOTH)
    try:
        if not server.wait():
            return {"failed": server.last_words()}
        wait_for_workers(server, 2)
        with measure.Hold(server.port, connections, ["-t", "120", "-m", "64"], BOTH) as hold:
            if not hold.ready():
                return {"failed": f"the connections could not be opened: {hold.errors.strip()}"}
            server.command("shell", "tell")
            end = time.monotonic() + 10
            while len(told(server)) < 2 and time.monotonic() < end:
                time.sleep(0.05)
            found = told(server)
    finally:
        server.stop()
    if len(found) < 2:
        return {"failed": "not both workers told their counts"}
    held = [h for h, _, _ in found.values()]
    least = 100 * min(held) / max(1, sum(held))
    woken = sum(w for _, _, w in found.values()) / max(1, sum(a for _, a, _ in found.values()))
    print(f"\n## share: {connections} connections one by one, two workers: {least:.0f} : "
        f"{100 - least:.0f}, {woken:.2f} wake-ups an accept")
    return {"least": least, "wakeups": woken, "held": held}


def gc():
    """Pauses of the garbage collector with 200 MiB of tables."""
    run = subprocess.run([servers.GADWALL, "lua", os.path.join(HERE, "gc.lua")], check=True,
        capture_output=True, text=True, timeout=300)
    out = [json.loads(line) for line in run.stdout.splitlines()]
    print("\n## gc: 200 MiB of tables, CPU us a callback, pauses in ms of CPU")
    for r in out:
        print(f"{r['mode']:22} {r['us']:6.2f} us  p99.9 {r['p999']:7.3f}  p99.99 {r['p9999']:7.3f}  "
            f"longest {r['longest']:7.1f}")
    return out
