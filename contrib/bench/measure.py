"""One measurement of one server, and the question whether it may be believed."""
import json
import os
import resource
import subprocess
import time

from servers import BIN

CLIENT_CORE = "1"
# A round counts if all of these hold; each can be changed by the environment variable of its name.
LIMITS = {
    "BENCH_FOREIGN": 0.2,  # cores that processes other than the server and its load used meanwhile
    "BENCH_WAITED": 0.1,   # share of the time in which the server was runnable and not run
    "BENCH_SATURATED": 0.97,  # core of the load generator: with as much it is the limit …
    "BENCH_SERVER_BUSY": 0.80,  # … unless the server used that much of its own core
    "BENCH_FULL": 0.9,  # workers: share of the cores that the load left, which the workers used
}
LIMITS = {name: float(os.environ.get(name, value)) for name, value in LIMITS.items()}


def schedstat(pids):
    """Seconds on a core and seconds of waiting for it, of all threads of pids."""
    ran = waited = 0
    for pid in pids:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
                    a, b = f.read().split()[:2]
                ran, waited = ran + int(a), waited + int(b)
        except OSError:
            pass
    return ran / 1e9, waited / 1e9


def busy():
    """Seconds that all cores together have worked since boot."""
    with open("/proc/stat", encoding="ascii") as f:
        v = list(map(int, f.readline().split()[1:9]))
    return (sum(v) - v[3] - v[4]) / os.sysconf("SC_CLK_TCK")


def own():
    """Seconds of this process and of its children that have ended."""
    return sum(r.ru_utime + r.ru_stime for r in
        map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)))


def generate(argv, timeout=90, cores=CLIENT_CORE):
    """Runs a load generator; its line of JSON, or {"failed": text}."""
    argv = ["taskset", "-c", cores, os.path.join(BIN, argv[0]), *map(str, argv[1:])]
    try:
        run = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, check=False)
        return json.loads(run.stdout.strip().splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"failed": f"{argv[3]} did not end in {timeout} s"}
    except (IndexError, ValueError):
        return {"failed": (run.stdout + run.stderr)[-200:].strip() or f"exit {run.returncode}"}


def once(server, argv, cores=CLIENT_CORE, refuse_by=None):
    """One round of one server: the generator's figures, who else was at work, and `refused`:
    why the round does not count, or None. `refuse_by` is asked in place of refuse."""
    pids = server.pids()
    busy0, own0, (ran0, waited0), t0 = busy(), own(), schedstat(pids), time.monotonic()
    result = generate([argv[0], "-p", server.port, "-P", ",".join(map(str, pids)), *argv[1:]],
        cores=cores)
    elapsed = time.monotonic() - t0
    ran, waited = schedstat(pids)
    result["foreign"] = max(0, (busy() - busy0) - (own() - own0) - (ran - ran0)) / elapsed
    result["waited"] = (waited - waited0) / elapsed
    result["refused"] = (refuse_by or refuse)(result)
    return result


def refuse_always(r):
    """What no round may have, wherever server and load run."""
    if "failed" in r:
        return "failed: " + r["failed"]
    if r["errs"] or r["lost"] or not r["msgs"]:
        return f"wrong: {r['errs']} bad, {r['lost']} lost of {r['msgs']}"
    return "foreign" if r["foreign"] > LIMITS["BENCH_FOREIGN"] else None


def refuse(r):
    """The same, with the server alone on its core and the load on the other."""
    why = refuse_always(r)
    if why:
        return why
    if r["waited"] > LIMITS["BENCH_WAITED"]:
        return "waited"
    if r["client_cpu"] >= LIMITS["BENCH_SATURATED"] and r["server_cpu"] < LIMITS["BENCH_SERVER_BUSY"]:
        return "generator"
    return None


class Hold:
    """Connections that are open and do nothing: hold.c, in a `with` that ends them."""

    def __init__(self, port, count, argv, cores=CLIENT_CORE):
        self.argv = ["taskset", "-c", cores, os.path.join(BIN, "hold"), "-p", str(port), "-c",
            str(count), *argv]
        self.process, self.errors = None, ""

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True)
        return self

    def ready(self):
        """Waits until all are open; False if one could not be, and then `errors` says why."""
        return bool(self.process.stdout.readline()) or not self.close()

    def watched(self):
        """With -g: what it saw when all had ended, or when its own time was over."""
        return json.loads(self.process.stdout.readline())

    def close(self):
        """Ends the connections; True."""
        if self.process.returncode is None:
            try:
                _, self.errors = self.process.communicate(timeout=30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.communicate()
        return True

    def __exit__(self, kind, *_):
        if kind:  # an interrupt: it may still be opening connections, and not listen
            self.process.kill()
        self.close()


def memory(pids):
    """Bytes of RSS and of PSS of pids together."""
    rss = pss = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                for line in f:
                    word = line.split()
                    if word[0] == "Rss:":
                        rss += int(word[1]) * 1024
                    elif word[0] == "Pss:":
                        pss += int(word[1]) * 1024
        except OSError:
            pass
    return rss, pss
