#!/usr/bin/env python3
"""instructions.py - instructions per operation of a gadwall worker, counted by callgrind.

usage: instructions.py [--gadwall PROGRAM] [--keep FOLDER] [--drain] [WORK...]

They hardly depend on what else the machine does, so that two builds can be compared where CPU time
says nothing; short runs differ by a few percent (where collections of Lua's garbage fall). Counted is what the process itself runs: a system call is one
instruction of it, so their number counts beside the sum. The worker runs without a keeper, which
needs pidfd_open, and Valgrind 3.19 does not know that. --drain: what being ready to stop costs: the
same work while the host drains. --keep: the dumps for callgrind_annotate."""
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import measure
import servers

# work -> (role of the server, answers counted, load generator with its arguments)
WORK = {
    "echo-1": ("echo", 20000, ["load", "-c", 64, "-d", 1]),
    "echo-16": ("echo", 80000, ["load", "-c", 64, "-d", 16]),
    "line-16": ("line", 80000, ["load", "-c", 64, "-d", 16]),
    "http": ("http", 10000, ["load", "-c", 64, "-H", "/"]),
    "http-headers": ("http", 10000, ["load", "-c", 64, "-H", "/", "-B"]),
    "churn": ("echo", 3000, ["churn", "-t", 120]),
    "tls-echo": ("tls", 10000, ["load", "-c", 64, "-T"]),
    "tls-handshake": ("tls", 600, ["churn", "-T", "-R", "-t", 120]),
}
# work -> answers counted while serving and while draining: so many that one collection of garbage
# more or less (one in 3,000 connections, or 20,000 reads) is no difference. One is 6.6 million
# instructions: of 100,000 echoes, of 2,000 each, that was 3 %.
DRAINING = {"echo-1": 400000, "tls-echo": 60000, "churn": 60000}
MOST = 0.02  # by so much draining may differ from serving
KEEP = None


class Counted:
    """One worker under callgrind."""

    def __init__(self, role):
        self.folder = KEEP or tempfile.mkdtemp(prefix="gadwall-cg-")
        self.out = os.path.join(self.folder, f"callgrind.{role}")
        for old in glob.glob(self.out + ".*"):
            os.unlink(old)
        self.port, self.dumps = servers.free_port(), 0
        os.makedirs(servers.RUN, exist_ok=True)
        os.makedirs(os.path.join(self.folder, "run"), exist_ok=True)
        self.config = servers.SERVERS[role]["gadwall"][0](self.folder, self.port)[3]
        self.log = os.path.join(self.folder, "log")
        with open(self.log, "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(["valgrind", "--tool=callgrind", "--quiet",
                f"--callgrind-out-file={self.out}", servers.GADWALL, "lua", "-e",
                f'os.exit(require "core.worker"("{self.config}"))'],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 120
        while not servers.answers(self.port):
            if time.monotonic() > end or self.process.poll() is not None:
                raise RuntimeError(f"the worker of {role} did not start: see {self.log}")
            time.sleep(0.1)

    def dump(self):
        """Instructions since the last dump."""
        self.dumps += 1
        subprocess.run(["callgrind_control", "--dump", str(self.process.pid)], check=True,
            capture_output=True, timeout=60)
        path = f"{self.out}.{self.dumps}"
        end = time.monotonic() + 20
        while time.monotonic() < end:
            if os.path.exists(path):
                with open(path, encoding="ascii", errors="replace") as f:
                    total = re.search(r"^totals: (\d+)", f.read(), re.M)
                if total:
                    return int(total[1])
            time.sleep(0.02)
        raise RuntimeError(f"no dump in {path}")

    def load(self, argv, answers):
        argv = [argv[0], "-p", self.port, *argv[1:], "-n", answers]
        if argv[0] == "load":
            argv += ["-w", 0, "-t", 110]
        result = measure.generate(argv, 150)
        if "failed" in result or result["lost"] or result["errs"]:
            raise RuntimeError(f"{' '.join(map(str, argv))}: {result}")
        return result["msgs"]

    def count(self, argv, answers):
        """Instructions of one more answer: what a long load takes beyond a short one, so that
        connecting and shaking hands do not count."""
        self.load(argv, answers // 10)
        self.dump()
        short = self.load(argv, answers // 10)
        before = self.dump()
        done = self.load(argv, answers)
        return (self.dump() - before) / (done - short)

    def drain(self):
        run = subprocess.run([servers.GADWALL, "drain", "-c", self.config], capture_output=True,
            text=True, timeout=60, check=False)
        if run.returncode not in (0, 5): # 5: done, and now it drains
            raise RuntimeError(f"drain: exit {run.returncode}: {run.stdout}{run.stderr}")

    def stop(self):
        self.process.kill()
        self.process.wait()
        if not KEEP:
            shutil.rmtree(self.folder, ignore_errors=True)


def count_all(names):
    """work -> instructions per operation; printed."""
    found = {}
    for name in names:
        role, answers, argv = WORK[name]
        counted = Counted(role)
        try:
            found[name] = counted.count(argv, answers)
        finally:
            counted.stop()
        print(f"{name:14} {found[name]:9.0f} instructions per operation", flush=True)
    return found


def count_draining(names=DRAINING):
    """work -> (serving, draining), instructions per operation; printed."""
    found = {}
    for name in names:
        role, _, argv = WORK[name]
        answers = DRAINING[name]
        counted = Counted(role)
        try:
            counted.load(argv, answers) # the first 60,000 connections take 4 % more than the next
            serving = counted.count(argv, answers)
            counted.drain()
            draining = counted.count(argv, answers)
        finally:
            counted.stop()
        found[name] = (serving, draining)
        ratio = draining / serving
        print(f"{name:14} serving {serving:9.0f}  draining {draining:9.0f}  {ratio:.4f}"
            + ("" if abs(ratio - 1) <= MOST else f"  more than {MOST:.0%} apart"), flush=True)
    return found


def main():
    global KEEP
    argv = sys.argv[1:]
    drain = "--drain" in argv
    if drain:
        argv.remove("--drain")
    for option in ("--gadwall", "--keep"):
        if option in argv:
            at = argv.index(option)
            value = os.path.abspath(argv[at + 1])
            del argv[at:at + 2]
            if option == "--keep":
                KEEP = value
                os.makedirs(KEEP, exist_ok=True)
            else:
                servers.GADWALL = value
    if drain:
        count_draining(argv or DRAINING)
    else:
        count_all(argv or WORK)


if __name__ == "__main__":
    main()
