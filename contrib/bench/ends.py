"""Items of the benchmark about the end of connections: goodbyes to many, and a drain and stop under
load of keep-alive clients."""
import os
import resource
import shutil
import subprocess
import time

import extras
import measure
import servers
import versus
from servers import RUN, Server

CONNECTIONS = int(os.environ.get("BENCH_CLOSES", "10000"))
SPREAD = 1.0  # s: the default of close_spread
GOODBYE = "goodbye\n"  # as mod_bench says it
CLIENTS = 64


def children_cpu():
    """Seconds on a core of all children that have ended and been waited for."""
    r = resource.getrusage(resource.RUSAGE_CHILDREN)
    return r.ru_utime + r.ru_stime


def close_all(server, connections):
    """One stop with so many connections; what their clients saw."""
    argv = ["-t", "120", "-m", "64", "-g", GOODBYE]
    with measure.Hold(server.port, connections, argv) as hold:
        if not hold.ready():
            return {"failed": hold.errors.strip()}
        cpu, _ = measure.schedstat(server.pids())
        busy, begin, before = measure.busy(), time.monotonic(), children_cpu()
        server.process.terminate()
        seen = hold.watched()
        seen["exit"] = server.process.wait(60)
        seen["cpu"] = children_cpu() - before - cpu
        foreign = measure.busy() - busy - seen["cpu"] - seen["client_cpu"]
        seen["foreign"] = max(0, foreign) / (time.monotonic() - begin)
    if seen["left"] or not seen["ended"]:
        seen["failed"] = f"{seen['left']} connections were still open after 120 s"
    seen["refused"] = "foreign" if seen["foreign"] > measure.LIMITS["BENCH_FOREIGN"] else None
    seen["of_spread"] = seen["seconds"] / SPREAD
    return seen


def closes_round(connections, redo):
    """The same, tried again while other processes were at work."""
    for _ in range(redo + 1):
        server = Server("polite", "gadwall")
        try:
            seen = close_all(server, connections) if server.wait() else {"failed": server.last_words()}
        finally:
            server.stop()
        if "failed" in seen or not seen["refused"]:
            break
    return seen


def closes_line(seen, connections):
    return (("refused: foreign  " if seen["refused"] else "")
        + f"first to last {seen['seconds']:.3f} s = {seen['of_spread']:.3f} of the spread; without "
        f"goodbye {seen['untold']}, reset {seen['reset']}; CPU of the stop {seen['cpu']:.2f} s, "
        f"{seen['cpu'] / connections * 1e6:.0f} us each; exit {seen['exit']}; others "
        f"{seen['foreign']:.2f} of a core")


def closes(rounds, redo):
    """Connections that a stop closes, each with a goodbye, against the time they are spread over."""
    connections = min(CONNECTIONS, extras.most_connections())
    print(f"\n## closes: {connections} connections are told goodbye and closed, close_spread {SPREAD:g} s"
        + ("" if connections == CONNECTIONS else f" (the file limit allows no {CONNECTIONS})"))
    found = []
    for _ in range(rounds):
        seen = closes_round(connections, redo)
        found.append(seen)
        if "failed" in seen:
            print(f"not reported: {seen['failed']}")
            continue
        print(closes_line(seen, connections), flush=True)
    return {"connections": connections, "spread": SPREAD, "rounds": found}


def stop_under_load(host, seconds):
    """Drain, a while, stop; how long each took."""
    def command(verb):
        begin = time.monotonic()
        run = subprocess.run([host.program, verb, "-c", host.config], capture_output=True, text=True,
            timeout=versus.LIMIT, check=False)
        if run.returncode not in (0, 5):  # 5: done, and now it drains
            raise RuntimeError(f"gadwall {verb}: exit {run.returncode}: {run.stdout}{run.stderr}")
        return time.monotonic() - begin
    time.sleep(seconds)
    drain = command("drain")
    time.sleep(seconds)
    stop = command("stop")
    host.process.wait(versus.LIMIT)
    return drain, stop


class Host(versus.Gadwall):
    """The host of `make versus`, with the modules that a stop is in order with."""
    modules = servers.STOP_MODULES


def drain_round(folder, clients, seconds):
    host = Host(folder, servers.free_port(), servers.GADWALL)
    host.start()
    port = str(host.port)
    load = subprocess.Popen([clients, port, str(CLIENTS), port, "0", "0", "1", "120"],
        stdout=subprocess.PIPE, text=True)
    try:
        drain, stop = stop_under_load(host, seconds)
    finally:
        load.terminate()
        text = load.communicate(timeout=60)[0]
        host.stop()
    found = versus.counts(text)
    found["connects_refused"] = found.pop("refused", 0)  # after the stop, as it must be
    return found | {"drain": drain, "stop": stop, "exit": host.process.returncode}


def drain_http(rounds, seconds):
    """What busy keep-alive clients lose while the host drains and then stops."""
    print(f"\n## drain-http: {CLIENTS} keep-alive clients without a pause; serving, drain, stop, "
        f"{seconds:g} s each")
    found = []
    folder = os.path.join(RUN, "drain-http")
    os.makedirs(folder, exist_ok=True)
    clients = versus.build_clients(folder)
    for r in range(rounds):
        home = os.path.join(folder, str(r))
        os.makedirs(home)
        try:
            n = drain_round(home, clients, seconds)
        except RuntimeError as fault:
            print(f"not reported: {fault}")
            found.append({"failed": str(fault)})
            continue
        shutil.rmtree(home, ignore_errors=True)
        found.append(n)
        print(f"answered {n['requests']:.0f}, Connection: close {n['closes']:.0f}, connects "
            f"{n['connects']:.0f}, lost {n['lost']:.0f}, wrong {n['wrong']:.0f}, late {n['late']:.0f}, "
            f"reset {n['reset']:.0f}, ended idle {n['idle_ends']:.0f}; p50 {n['p50']:.1f}, p99 "
            f"{n['p99']:.1f}, slowest {n['max']:.1f} ms; the stop took {n['stop']:.1f} s, "
            f"exit {n['exit']}", flush=True)
    return {"clients": CLIENTS, "rounds": found}
