"""Items of the benchmark that ask for more than one load on one server: growth with the number of
connections, sharing between two workers, pauses of the garbage collector."""
import json
import os
import re
import resource
import statistics as st
import subprocess
import time

import measure
import servers
from servers import BIN, HERE, RUN, Server


def most_connections():
    """As many as server and load may have with the file limit that they inherit."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 1000


def growth(rounds, seconds):
    """CPU per message of an echo by connections, and how it grows, beside raw libev's."""
    counts = [n for n in (100, 1000, 10000) if n < most_connections()] + [most_connections()]
    names = ("raw-libev", "gadwall")
    running = {name: Server("echo", name) for name in names}
    found = {name: {n: [] for n in counts} for name in names}
    refused = []
    try:
        for server in running.values():
            if not server.wait():
                return {"failed": server.last_words()}
        for _ in range(rounds):
            for n in counts:
                for name in names:
                    argv = ["load", "-c", n, "-d", 1, "-t", seconds, "-w", 0.25]
                    result = measure.once(running[name], argv)
                    if result["refused"] in (None, "generator"):  # CPU an answer counts all the same
                        found[name][n].append(result["us_per"])
                    else:
                        refused.append(f"{name} {n}: {result['refused']}")
    finally:
        for server in running.values():
            server.stop()
    print(f"\n## growth: CPU us a message by connections; the file limit allows {counts[-1]}")
    out = {"refused": refused, "us": {}}
    for name in names:
        out["us"][name] = {n: st.median(v) for n, v in found[name].items() if v}
        print(f"{name:15}" + "".join(f"{n:>9}: {us:6.3f}" for n, us in out["us"][name].items()))
    raw, ours = (out["us"][n] for n in names)
    for n in counts[1:]:
        if all(n in t and counts[0] in t for t in (raw, ours)):
            ratio = (ours[n] / ours[counts[0]]) / (raw[n] / raw[counts[0]])
            out.setdefault("growth_of_raw", {})[n] = ratio
            print(f"from {counts[0]} to {n}: {ratio:.3f} of raw libev's own growth")
    for line in refused:
        print(f"not counted: {line}")
    return out


SHARE_CONFIG = """
plugin_paths = {{ "{here}/peers/gadwall" }}
modules_enabled = {{ "admin_socket"; "admin_shell"; "bench_share" }}
interfaces = {{ "127.0.0.1" }}
bench_share_ports = {{ {port} }}
workers = 2
max_connections_per_ip = 1000000
max_connection_rate_per_ip = 1000000
log = {{ info = "{folder}/log.txt" }}
run_as_root = true
runtime_path = "{folder}/run"
data_path = "{folder}/data"
"""


def told(folder):
    """worker → (connections, accepted, wake-ups), from the newest lines of the log."""
    with open(os.path.join(folder, "log.txt"), encoding="utf-8") as f:
        found = re.findall(r"worker (\d+) has (\d+), accepted (\d+), woken (\d+)", f.read())
    return {int(w): (int(a), int(b), int(c)) for w, a, b, c in found}


def share(connections=10000):
    """How two workers share connections that come one by one and stay."""
    connections = min(connections, most_connections())
    folder, port = os.path.join(RUN, "share"), servers.free_port()
    os.makedirs(folder, exist_ok=True)
    config = servers.write(folder, "gadwall.cfg.lua",
        SHARE_CONFIG.format(here=HERE, folder=folder, port=port))
    with open(os.path.join(folder, "log"), "w", encoding="utf-8") as log:
        host = subprocess.Popen([servers.GADWALL, "run", "-c", config], stdout=log, stderr=log)
    hold = None
    try:
        end = time.monotonic() + 15
        while not servers.answers(port) and time.monotonic() < end:
            time.sleep(0.01)
        time.sleep(1)  # the second worker
        hold = subprocess.Popen([os.path.join(BIN, "hold"), "-p", str(port), "-c",
            str(connections), "-t", "120", "-m", "64"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        if not hold.stdout.readline():
            return {"failed": "the connections could not be opened"}
        subprocess.run([servers.GADWALL, "-c", config, "shell", "tell"], check=False, timeout=20,
            capture_output=True)
        end = time.monotonic() + 10
        while len(told(folder)) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        found = told(folder)
    finally:
        if hold:
            hold.communicate(timeout=30)
        for _ in range(3):
            host.terminate()
            try:
                host.wait(3)
                break
            except subprocess.TimeoutExpired:
                pass
        else:
            host.kill()
            host.wait()
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
