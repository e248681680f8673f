#!/usr/bin/env python3
"""make versus: what clients lose while nginx (binary upgrade: USR2, QUIT), HAProxy (reload: USR2 to
the master) and gadwall (upgrade) replace themselves, one after the other, under the same clients.

  versus.py --gadwall PROGRAM

Environment: VERSUS_TIMES (24 changes each), VERSUS_EVERY (0.5 s between them), VERSUS_CLIENTS (64
keep-alive, and a quarter of that with a connection for each request), VERSUS_THINK (2 ms),
VERSUS_SERVERS (those to run).

The clients are spec/support/upgrade_load.c; lost is a request sent on a connection on which no
`Connection: close` had arrived and that was not answered in full. The end of a connection without
an open request is no loss. Exit status 1 if gadwall lost anything, 3 if there was nothing to compare
with."""
import argparse
import ctypes
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import servers

ROOT = servers.ROOT
TIMES = int(os.environ.get("VERSUS_TIMES", "24"))
EVERY = float(os.environ.get("VERSUS_EVERY", "0.5"))
CLIENTS = int(os.environ.get("VERSUS_CLIENTS", "64"))
THINK = int(os.environ.get("VERSUS_THINK", "2"))
LIMIT = 30  # s: a change that takes longer has failed
PR_SET_CHILD_SUBREAPER = 36

NGINX = """
worker_processes 1; user root; pid {folder}/pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 300s;
    client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
    uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
    server {{ listen 127.0.0.1:{port} backlog=4096;
        location / {{ default_type text/plain; return 200 "$args 1"; }} }}
}}
"""

HAPROXY = """
global
  maxconn 4096
  nbthread 1
defaults
  mode http
  timeout client 300s
  timeout server 300s
  timeout connect 5s
  timeout http-keep-alive 300s
frontend versus
  bind 127.0.0.1:{port} backlog 4096
  http-request return status 200 content-type text/plain lf-string "%[query] 1"
"""

GADWALL = """
modules_enabled = {{ "admin_socket", "admin_shell", "http", "versus", {modules} }}
plugin_paths = {{ "{folder}" }}
http_ports = {{ {port} }}; http_interfaces = {{ "127.0.0.1" }}; https_ports = {{}}
http_default_host = "localhost"
max_connection_rate_per_ip = 1000000
upgrade_probation = 0.2
run_as_root = true
runtime_path = "{folder}/run"; data_path = "{folder}/data"
log = {{ warn = "*console" }}
VirtualHost "localhost"
"""

MODULE = """
module:depends "http"
module:provides("http", { default_path = "/", route = { ["GET /"] = function (event)
    return ("%s %d"):format(event.request.url.query or "", prosody.generation)
end } })
"""


def wait_for(what, condition):
    """Polls until the condition holds; raises after LIMIT seconds."""
    end = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not within {LIMIT} s")
        time.sleep(0.005)


def read(path):
    try:
        with open(path, encoding="ascii", errors="replace") as f:
            return f.read().strip()
    except OSError:
        return ""


def reap():
    """nginx's masters and HAProxy's workers may become our children."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def is_gone(pid):
    reap()
    return not os.path.exists(f"/proc/{pid}")


class Change:
    """One server: how it is started and how it changes."""

    def __init__(self, folder, port, program):
        self.folder, self.port, self.program = folder, port, program
        self.process = None

    def start(self):
        env = dict(os.environ)
        if self.name != "gadwall":
            env["LD_LIBRARY_PATH"] = servers.LIBS
        with open(f"{self.folder}/log", "w", encoding="utf-8") as log:
            self.process = subprocess.Popen(self.command(), env=env, stdout=log, stderr=log,
                stdin=subprocess.DEVNULL)
        wait_for(f"{self.name} serves", lambda: servers.answers(self.port))

    def stop(self):
        """The process that stands for the server now, and what it started."""
        for pid in servers.tree(self.leader()):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        time.sleep(0.1)
        reap()

    def leader(self):
        return self.process.pid


class Nginx(Change):
    name, how = "nginx", "binary upgrade: USR2, then QUIT to the old master"

    def command(self):
        config = servers.write(self.folder, "nginx.conf", NGINX.format(folder=self.folder,
            port=self.port))
        # It daemonizes, and by a shell: a master ignores USR2 while its first parent lives.
        return ["sh", "-c", '"$@"; :', "sh", self.program, "-e", "stderr", "-c", config, "-p",
            self.folder]

    def leader(self):
        return int(read(f"{self.folder}/pid") or self.process.pid)

    def change(self):
        old = self.leader()
        os.kill(old, signal.SIGUSR2)
        wait_for("nginx's new master has workers", lambda: self.leader() != old
            and len(servers.tree(self.leader())) > 1)
        os.kill(old, signal.SIGQUIT)
        wait_for("nginx's old master ends", lambda: is_gone(old))


class Haproxy(Change):
    name, how = "haproxy", "reload: USR2 to the master (-W)"

    def command(self):
        config = servers.write(self.folder, "haproxy.cfg", HAPROXY.format(port=self.port))
        return [self.program, "-W", "-f", config]

    def change(self):
        before = set(servers.tree(self.leader()))
        sent = 0

        def done():
            nonlocal sent
            if time.monotonic() > sent + 2:  # a master that still starts has ignored it
                sent = time.monotonic()
                os.kill(self.leader(), signal.SIGUSR2)
            return set(servers.tree(self.leader())) - before
        wait_for("haproxy's new worker", done)


class Gadwall(Change):
    name, how = "gadwall", "gadwall upgrade, probation 0.2 s"
    modules = ""

    def command(self):
        servers.write(self.folder, "mod_versus.lua", MODULE)
        self.config = servers.write(self.folder, "gadwall.cfg.lua",
            GADWALL.format(folder=self.folder, port=self.port, modules=self.modules))
        return [self.program, "run", "-c", self.config]

    def change(self):
        done = subprocess.run([self.program, "upgrade", "-c", self.config], capture_output=True,
            text=True, timeout=LIMIT, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"gadwall upgrade: {done.stdout}{done.stderr}")


def build_clients(folder):
    path = os.path.join(folder, "clients")
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu11", "-D_GNU_SOURCE", "-O2", "-o", path,
        os.path.join(ROOT, "spec/support/upgrade_load.c")], check=True, timeout=120)
    return path


def counts(text):
    """What the clients say when they end: name → number."""
    return {k: float(v) for k, v in re.findall(r"(\w+)=([\d.]+)", text)}


def measure(server, clients):
    """Starts it, changes it TIMES times under load; what the clients counted."""
    server.start()
    seconds = TIMES * (EVERY + 2 * LIMIT)
    load = subprocess.Popen([clients, str(server.port), str(CLIENTS), str(server.port),
        str(CLIENTS // 4), str(THINK), "1", str(seconds)], stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(1)
        for _ in range(TIMES):
            server.change()
            load.send_signal(signal.SIGUSR1)
            time.sleep(EVERY)
    except RuntimeError:
        print(read(f"{server.folder}/log")[-2000:], file=sys.stderr)
        raise
    finally:
        load.terminate()
        text = load.communicate(timeout=60)[0]
        server.stop()
    return counts(text)


def find(gadwall):
    """Those that are here, and those that are not."""
    wanted = os.environ.get("VERSUS_SERVERS", "nginx haproxy gadwall").split()
    kinds = {k.name: k for k in (Nginx, Haproxy, Gadwall)}
    programs = {n: gadwall if n == "gadwall" else servers.program(n) for n in wanted}
    return [(kinds[n], p) for n, p in programs.items() if p], [n for n, p in programs.items() if not p]


HEAD = (f"{'':9}{'answered':>10}{'connects':>10}{'lost':>6}{'reset':>7}{'refused':>8}"
    "  slowest of a change, p50 and p99")


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--gadwall", required=True)
    gadwall = os.path.abspath(args.parse_args().gadwall)
    # a new nginx master outlives the one that started it
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    here, absent = find(gadwall)
    folder = tempfile.mkdtemp(prefix="gadwall-versus.")
    print(f"{TIMES} changes each, {CLIENTS} keep-alive clients, {CLIENTS // 4} that connect anew")
    print(HEAD)
    status = 0
    try:
        clients = build_clients(folder)
        for kind, program in here:
            home = os.path.join(folder, kind.name)
            os.makedirs(home)
            n = measure(kind(home, servers.free_port(), program), clients)
            print(f"{kind.name:9}{n['requests']:10.0f}{n['connects']:10.0f}{n['lost']:6.0f}"
                f"{n['reset']:7.0f}{n['refused']:8.0f}  {n['pause_p50']:.1f} and {n['pause_p99']:.1f} ms"
                f"  ({kind.how})", flush=True)
            if kind is Gadwall and n["lost"] + n["reset"] + n["refused"] + n["wrong"] + n["late"]:
                status = 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print("lost: sent where no Connection: close had arrived, and not answered in full")
    for name in absent:
        print(f"{name} is not here (contrib/deps.sh bench)")
        status = status or 3
    return status


if __name__ == "__main__":
    sys.exit(main())
