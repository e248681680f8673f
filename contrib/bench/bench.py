#!/usr/bin/env python3
"""bench.py - gadwall beside raw C and other servers, in one interleaved run. See README.md.

usage: bench.py [--gadwall PROGRAM] [--list] [ITEM...]      (ITEMs: also BENCH_ONLY="ITEM ...")
An ITEM may be the begin of names: echo,http stands for all items that begin so.
environment: BENCH_ROUNDS=5  BENCH_SECONDS=1 (a measurement)  BENCH_SERVERS="NAME ..."
  BENCH_REDO=2 (how often a refused round is tried again)  BENCH_IDLE=9000 (idle connections)
  BENCH_CLOSES=10000 (connections that a stop closes)
  BENCH_OUT=build/bench (bench.json, bench.svg), and the limits in measure.py"""
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import aims
import alone
import ends
import extras
import figure
import measure
import report
import servers
from servers import BIN, ONLY, OUT, RUN, SERVERS, Server, present

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
SECONDS = float(os.environ.get("BENCH_SECONDS", "1"))
REDO = int(os.environ.get("BENCH_REDO", "2"))


@dataclass
class Item:
    """A kind of work: which servers, and the load generator with its arguments. `cpu_only`: the
    generator needs more CPU for it than a server, so it is the limit of every round: the CPU per
    operation is kept, rate and latency are not reported."""
    role: str
    what: str
    argv: list = field(default_factory=list)
    cpu_only: bool = False


def echo(connections, depth, *more):
    return ["load", "-c", connections, "-d", depth, "-t", SECONDS, "-w", 0.25, *more]


ITEMS = {
    "echo-64-1": Item("echo", "TCP echo of 64 bytes, 64 connections", echo(64, 1)),
    "echo-64-16": Item("echo", "the same, 16 messages in flight on each", echo(64, 16)),
    "echo-1000-1": Item("echo", "1,000 connections", echo(1000, 1)),
    "echo-1000-16": Item("echo", "1,000 connections, 16 in flight", echo(1000, 16)),
    "line-64-16": Item("line", "one Lua callback a line, 64 connections, 16 in flight", echo(64, 16)),
    "http-64": Item("http", "HTTP keep-alive GET, 64 connections", echo(64, 1, "-H", "/")),
    "http-256": Item("http", "256 connections", echo(256, 1, "-H", "/")),
    "http-headers": Item("http", "64 connections, 8 browser headers",
        echo(64, 1, "-H", "/", "-B")),
    "https-64": Item("https", "HTTPS keep-alive GET, 64 connections", echo(64, 1, "-T", "-H", "/")),
    "churn": Item("echo", "connect, one message, close", ["churn", "-t", SECONDS, "-n", 100000], True),
    "tls-echo": Item("tls", "TLS echo of 64 bytes, 64 connections", echo(64, 1, "-T")),
    "tls-handshake": Item("tls", "TLS full handshake (ECDSA P-256), one message, close",
        ["churn", "-T", "-R", "-t", SECONDS, "-n", 20000], True),
}


def name_missing():
    """Says which peers are not here, and so in no item."""
    for role in ("echo", "http", "https", "tls"):
        for name in SERVERS[role]:
            lack = servers.missing(role, name)
            if lack and (not ONLY or name in ONLY):
                print(f"skipped: {name} ({role}): {lack} is not here (contrib/deps.sh bench gets it)")


def start_all(role):
    """Servers of a role that are here and came up; those that did not are named."""
    running = {}
    for name in present(role):
        server = Server(role, name)
        if server.wait():
            running[name] = server
        else:
            print(f"skipped: {name} ({role}) did not start: {server.last_words()}")
            server.stop()
    return running


def stop_all(running):
    for server in running.values():
        server.stop()


def believed(item, server):
    """One round, tried again while it is refused; the last try tells why."""
    for _ in range(REDO + 1):
        result = measure.once(server, item.argv)
        if item.cpu_only and result["refused"] == "generator":
            result["refused"], result["limited"] = None, True
        if not result["refused"]:
            break
    return result


def run_items(names):
    """All servers of a role run beside each other, one at a time is measured, and every round
    goes through all of them, there and back."""
    found = {}
    for role in dict.fromkeys(ITEMS[n].role for n in names):
        running = start_all(role)
        try:
            time.sleep(0.5)
            for name in (n for n in names if ITEMS[n].role == role):
                results = {s: [] for s in running}
                for r in range(ROUNDS):
                    for s in list(running)[::1 if r % 2 == 0 else -1]:
                        results[s].append(believed(ITEMS[name], running[s]))
                found[name] = report.summary(ITEMS[name], results)
                found[name]["rounds"] = results
                report.table(name, found[name], ROUNDS)
                sys.stdout.flush()
        finally:
            stop_all(running)
    return found


# By answers, not by time: a thousand of them must come, however busy the machine is.
CHECKED = {"echo": ["load", "-n", 5000, "-t", 10, "-w", 0],
    "pipelined echo": ["load", "-d", 16, "-n", 20000, "-t", 10, "-w", 0],
    "HTTP": ["load", "-H", "/", "-n", 5000, "-t", 10, "-w", 0],
    "churn": ["churn", "-n", 3000, "-t", 3]}


def generator_sees(case, loses):
    """What a generator counts on a server that loses every 1,000th answer, or none."""
    argv = CHECKED[case]
    options = (["-H"] if case == "HTTP" else []) + (["-L", "1000"] if loses else [])
    port = servers.free_port()
    server = subprocess.Popen([os.path.join(BIN, "rawecho"), "-p", str(port), "-l", "60", *options])
    try:
        while not servers.answers(port) and server.poll() is None:
            time.sleep(0.01)
        return measure.generate([argv[0], "-p", port, *argv[1:]])
    finally:
        server.terminate()
        server.wait()


def check_generators():
    """The generators must see every 1,000th answer missing, and must not see what is not so. All at
    once: no time is measured, and a generator waits five seconds for what is lost."""
    cases = [(case, loses) for loses in (False, True) for case in CHECKED]
    with ThreadPoolExecutor(len(cases)) as pool:
        results = list(pool.map(lambda c: generator_sees(*c), cases))
    for (case, loses), result in zip(cases, results):
        if "failed" in result or bool(result["lost"] or result["errs"]) != loses:
            sys.exit(f"bench: the generator of {case} is not to be trusted: a server that loses "
                f"{'every 1,000th' if loses else 'no'} answer gave {result}")
    print("generators: a server that loses every 1,000th answer is found out (echo, pipelined "
        "echo, HTTP, churn)", flush=True)


def run_draining():
    """Instructions while the host drains beside those while it serves, if Valgrind is here."""
    print("\n## draining: instructions per operation (callgrind)")
    if not shutil.which("valgrind"):
        print("skipped: valgrind is not here")
        return None
    import instructions
    return instructions.count_draining()


def run_start():
    return alone.start(ROUNDS)


def run_timers():
    return alone.timers(ROUNDS)


def run_dispatch():
    return alone.dispatch(ROUNDS)


def run_growth():
    return extras.growth(ROUNDS, SECONDS, REDO)


def run_workers():
    return extras.workers(ROUNDS, SECONDS, REDO)


def run_closes():
    return ends.closes(min(ROUNDS, 3), REDO)


def run_drain_http():
    return ends.drain_http(min(ROUNDS, 3), SECONDS)


EXTRA = {"memory": alone.memory, "start": run_start, "timers": run_timers, "growth": run_growth,
    "workers": run_workers, "share": extras.share, "closes": run_closes,
    "drain-http": run_drain_http, "draining": run_draining, "gc": extras.gc,
    "dispatch": run_dispatch}


def chosen(words):
    """The items that the words name, whole or by their begin; in the order of the list."""
    known = [*ITEMS, *EXTRA]
    words = [w for word in words for w in re.split(r"[\s,]+", word) if w]
    found = {w: [n for n in known if n == w] or [n for n in known if n.startswith(w)] for w in words}
    unknown = [w for w in words if not found[w]]
    if unknown:
        sys.exit(f"bench: no item {', '.join(unknown)}; there are: {' '.join(known)}")
    return [n for n in known if not words or any(n in found[w] for w in words)]


def minutes(names):
    """About how long a run without refused rounds takes: the least and, all tried again, the most."""
    each = sum(ROUNDS * len(present(ITEMS[n].role)) * (SECONDS + 0.6) for n in names if n in ITEMS)
    all_roles = sum(len(present(role)) for role in ("echo", "http", "tls"))
    extra = {"memory": all_roles * 8 + 40, "start": ROUNDS * all_roles * 0.7, "timers": ROUNDS * 8,
        "growth": ROUNDS * 8 * (SECONDS + 1.5), "workers": 5 + ROUNDS * 2 * (SECONDS + 0.6),
        "share": 10, "closes": min(ROUNDS, 3) * 6, "drain-http": min(ROUNDS, 3) * (2 * SECONDS + 5),
        "draining": 300, "gc": 60, "dispatch": ROUNDS * 4}
    rest = 10 + sum(s for n, s in extra.items() if n in names)
    return (each + rest) / 60, (each * (1 + REDO) + rest) / 60


def about():
    """When, on what and of what the figures are."""
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        model = re.search(r"^model name\s*: (.*)$", f.read(), re.M)
    version = subprocess.run([servers.GADWALL, "--version"], capture_output=True, text=True,
        timeout=10, check=False).stdout.split("\n")[0]
    machine = re.sub(r"\s+Processor.*|\(R\)|\(TM\)|\s+@.*", "", model[1]) if model else os.uname().machine
    return {"date": time.strftime("%Y-%m-%d"), "machine": f"{os.cpu_count()} cores of {machine}",
        "gadwall": version}


def main():
    argv = sys.argv[1:]
    if "--gadwall" in argv:
        at = argv.index("--gadwall")
        servers.GADWALL = os.path.abspath(argv[at + 1])
        del argv[at:at + 2]
    if "--list" in argv:
        print("\n".join(f"{n:14} {i.what}" for n, i in ITEMS.items()), *EXTRA, sep="\n")
        return
    names = chosen(argv or [os.environ.get("BENCH_ONLY", "")])
    unknown = set(ONLY) - {name for role in SERVERS.values() for name in role}
    if unknown:
        sys.exit(f"bench: BENCH_SERVERS names {', '.join(sorted(unknown))}; there are "
            + " ".join(sorted({name for role in SERVERS.values() for name in role})))
    if os.cpu_count() < 2:
        sys.exit("bench: one core for the server and one for the load are needed")
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, 20000), limit))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1)) # so that what was started is stopped
    shutil.rmtree(RUN, ignore_errors=True)
    os.makedirs(RUN)
    print("bench: %d items, about %.0f minutes, %.0f if every round is tried again"
        % (len(names), *minutes(names)), flush=True)
    print(f"bench: {ROUNDS} rounds of {SECONDS} s; load average {os.getloadavg()[0]:.1f}; limits "
        + " ".join(f"{k}={v}" for k, v in measure.LIMITS.items()))
    name_missing()
    check_generators()
    run = {"about": about(), "load": os.getloadavg(), "rounds": ROUNDS, "seconds": SECONDS,
        "limits": measure.LIMITS}
    run["items"] = run_items([n for n in names if n in ITEMS])
    for name in names:
        if name in EXTRA:
            run[name] = EXTRA[name]()
            if run[name] and "failed" in run[name]:
                print(f"{name}: not reported: {run[name]['failed']}")
            sys.stdout.flush()
    run["aims"] = aims.judge(run)
    aims.table(run["aims"])
    os.makedirs(OUT, exist_ok=True)
    report.write_json(os.path.join(OUT, "bench.json"), run)
    with open(os.path.join(OUT, "bench.svg"), "w", encoding="utf-8") as f:
        f.write(figure.draw(run))
    print(f"\nload average {os.getloadavg()[0]:.1f}; wrote {OUT}/bench.json and bench.svg; "
        "`make bench-figure` draws the README's picture from them")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("\nbench: interrupted; what it had started is stopped", file=sys.stderr)
        sys.exit(130)
