"""The servers that `make bench` compares: how each is started, and what it needs.

A server has a name, a role that says what it serves (echo, line, http, tls …), a folder of its own
below BENCH_OUT, and a free port. Nothing is installed: peers are run from .deps/peers. A peer that
is not there is named in the report, not started."""
import os
import random
import shutil
import socket
import subprocess
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.join(ROOT, "contrib/bench")
BIN = os.path.join(ROOT, "build/bench")
OUT = os.path.abspath(os.environ.get("BENCH_OUT", BIN))
RUN = os.path.join(OUT, "bench-run")  # emptied at the begin of a run
PEERS = os.path.join(ROOT, ".deps/peers/usr")
PROSODY = os.path.join(PEERS, "lib/prosody")
GADWALL = os.path.join(ROOT, "build/gadwall")
ONLY = os.environ.get("BENCH_SERVERS", "").split()


def library_folder():
    """The multiarch folder of the unpacked peers' shared libraries."""
    base = os.path.join(PEERS, "lib")
    names = [n for n in os.listdir(base) if n.endswith("linux-gnu")] if os.path.isdir(base) else []
    return os.path.join(base, names[0]) if names else base


LIBS = library_folder()
LUA_ENV = {
    "LUA_PATH": f"{PEERS}/share/lua/5.4/?.lua;;",
    "LUA_CPATH": f"{LIBS}/lua/5.4/?.so;;",
    "PROSODY_LIB": PROSODY,
}


def program(name):
    """Path of a program: unpacked, else the system's, else None."""
    for folder in ("sbin", "bin"):
        path = os.path.join(PEERS, folder, name)
        if os.path.exists(path):
            return path
    return shutil.which(name)


def free_port():
    """A port below those that the kernel gives to clients: one that connects again and again to such
    a port would, when nobody listens any more, sooner or later connect to itself."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        first = int(f.read().split()[0])
    for port in [random.randrange(1024, first) for _ in range(100) if first > 2048] + [0]:
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return s.getsockname()[1]
            except OSError:
                pass
    raise RuntimeError("no port is free")


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(text)
    return path


def certificate():
    """One ECDSA P-256 certificate and key for all, made once a run; the folder's files."""
    both = os.path.join(RUN, "ec.pem")
    if not os.path.exists(both):
        key, crt = os.path.join(RUN, "ec.key"), os.path.join(RUN, "ec.crt")
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", crt,
            "-subj", "/CN=localhost", "-days", "30"], check=True, capture_output=True, timeout=30)
        with open(both, "w", encoding="utf-8") as out:
            for part in (key, crt):
                with open(part, encoding="utf-8") as f:
                    out.write(f.read())
    return both


def raw(*options):
    return lambda folder, port: [os.path.join(BIN, "rawecho"), "-p", port, "-l", 3600, *options]


def raw_tls(*options):
    return lambda folder, port: raw("-T", certificate(), *options)(folder, port)


# Limits and timeouts are the defaults; only the two by address are raised, because all the load
# comes from one: they are still looked up and counted.
GADWALL_CONFIG = """
plugin_paths = {{ "{here}/peers/gadwall" }}
modules_enabled = {{ "admin_socket"; "admin_shell"; "health"; "bench"; {modules} }}
interfaces = {{ "127.0.0.1" }}
{silent}
{option}_ports = {{ {port} }}
{more}
{tls}
http_default_host = "localhost"
max_connections_per_ip = 1000000
max_connection_rate_per_ip = 1000000
log = {{ warn = "*console" }}
run_as_root = true
runtime_path = "{folder}/run"
data_path = "{folder}/data"
"""


# Only where it is used: a certificate that is written down is tried out at the start, as no other
# server does that speaks no TLS.
GADWALL_TLS = '{option}_ssl = {{ certificate = "{run}/ec.crt", key = "{run}/ec.key" }}'

STOP_MODULES = '"graceful_shutdown"; "lameduck"'
GADWALL_SERVICES = ("bench_echo", "bench_line", "bench_tls", "bench_busy", "bench_polite", "http",
    "https", "admin_http")


def gadwall(option, more="", modules=""):
    """A host of which only the service of that option listens; `more` are lines of its config."""
    def start(folder, port):
        tls = ""
        if option in ("bench_tls", "https"):
            certificate()
            tls = GADWALL_TLS.format(option=option, run=RUN)
        silent = "\n".join(f"{s}_ports = {{}}" for s in GADWALL_SERVICES if s != option)
        config = write(folder, "gadwall.cfg.lua", GADWALL_CONFIG.format(here=HERE, tls=tls,
            folder=folder, port=port, option=option, more=more, modules=modules, silent=silent))
        return [GADWALL, "run", "-c", config]
    return start


def lua_script(name, *options):
    return lambda folder, port: [shutil.which("lua5.4"), os.path.join(HERE, "peers", name), port, *options]


def node_script(name, pem=False):
    return lambda folder, port: [program("node"), os.path.join(HERE, "peers", name), port,
        *([certificate()] if pem else [])]


def prosody_tls(folder, port):
    return lua_script("prosody/echo.lua", "default", certificate())(folder, port)


# The package's program has its folders written into it; a copy has ours.
PROSODY_CONFIG = """
pidfile = "{f}/pid" data_path = "{f}/data" plugin_paths = {{ "{here}/peers/prosody" }}
run_as_root = true log = {{ error = "*console" }} interfaces = {{ "127.0.0.1" }}
http_ports = {{ {port} }} http_interfaces = {{ "127.0.0.1" }} https_ports = {{}}
network_settings = {{ tcp_backlog = 4096 }} http_default_host = "localhost"
modules_enabled = {{ "bench" }}
modules_disabled = {{ "s2s", "c2s", "tls", "saslauth", "offline", "s2s_auth_certs", "presence",
    "message", "iq", "mimicking" }}
VirtualHost "localhost"
"""


def prosody_http(folder, port):
    with open(os.path.join(PEERS, "bin/prosody"), encoding="utf-8") as f:
        text = f.read()
    text = text.replace("'/usr/lib/prosody", f"'{PROSODY}").replace("'/etc/prosody", f"'{folder}")
    text = text.replace("'/var/lib/prosody", f"'{folder}/data")
    os.makedirs(os.path.join(folder, "data"), exist_ok=True)
    main = write(folder, "prosody", text)
    config = write(folder, "prosody.cfg.lua", PROSODY_CONFIG.format(f=folder, here=HERE, port=port))
    return [shutil.which("lua5.4"), main, "-F", "--config", config]


NGINX_HEAD = """
{modules}
worker_processes 1; user root; daemon off; pid {f}/pid; error_log stderr crit;
worker_rlimit_nofile 20000;
events {{ worker_connections 19000; multi_accept on; }}
http {{
    access_log off; keepalive_requests 1000000000; keepalive_timeout 300s; tcp_nodelay on;
    client_body_temp_path {f}/b; proxy_temp_path {f}/p; fastcgi_temp_path {f}/f;
    uwsgi_temp_path {f}/u; scgi_temp_path {f}/s; {http}
    server {{ listen 127.0.0.1:{port} backlog=4096{listen};
        location / {{ default_type text/plain; {answer} }} }}
}}
"""


def nginx(lua=False, tls=False):
    def start(folder, port):
        modules, http, answer = "", "", 'return 200 "hello world\\n";'
        if tls:
            http = f"ssl_certificate {certificate()}; ssl_certificate_key {certificate()};"
        if lua:
            so = os.path.join(PEERS, "lib/nginx/modules")
            modules = f"load_module {so}/ndk_http_module.so; load_module {so}/ngx_http_lua_module.so;"
            http += f'lua_package_path "{PEERS}/share/lua/5.1/?.lua;;";'
            answer = ('content_by_lua_block { ngx.header["Content-Length"] = 12 '
                'ngx.print("hello world\\n") }')
        config = write(folder, "nginx.conf", NGINX_HEAD.format(modules=modules, http=http,
            answer=answer, f=folder, port=port, listen=" ssl" if tls else ""))
        return [program("nginx"), "-e", "stderr", "-c", config, "-p", folder]
    return start


HAPROXY_CONFIG = """
global
  maxconn 9500
  nbthread 1
  lua-load {here}/peers/haproxy.lua
defaults
  timeout client 300s
  timeout server 300s
  timeout connect 5s
  timeout http-keep-alive 300s
frontend bench
  bind 127.0.0.1:{port} backlog 4096 {tls}
  {what}
"""


def haproxy(what, tls=False):
    def start(folder, port):
        config = write(folder, "haproxy.cfg", HAPROXY_CONFIG.format(here=HERE, port=port, what=what,
            tls=f"ssl crt {certificate()}" if tls else ""))
        return [program("haproxy"), "-f", config, "-db"]
    return start


HAPROXY_ECHO = "mode tcp\n  tcp-request content use-service lua.echo"
HAPROXY_RETURN = ('mode http\n  http-request return status 200 content-type text/plain '
    'string "hello world\\n"')

# role -> name -> (how it is started, the file it needs)
SERVERS = {
    "echo": {
        "raw-libev": (raw(), None),
        "raw-epoll": (raw("-b", "epoll"), None),
        "gadwall": (gadwall("bench_echo"), None),
        "prosody": (lua_script("prosody/echo.lua"), PROSODY),
        "prosody-tuned": (lua_script("prosody/echo.lua", "tuned"), PROSODY),
        "luv": (lua_script("luv_echo.lua"), f"{LIBS}/lua/5.4/luv.so"),
        "cqueues": (lua_script("cq_echo.lua"), f"{LIBS}/lua/5.4/_cqueues.so"),
        "node": (node_script("node_echo.js"), "node"),
        "haproxy-lua": (haproxy(HAPROXY_ECHO), "haproxy"),
    },
    "line": {
        "raw-libev": (raw(), None),
        "gadwall": (gadwall("bench_line"), None),
    },
    "http": {
        "raw-libev": (raw("-H"), None),
        "gadwall": (gadwall("http"), None),
        "nginx": (nginx(), "nginx"),
        "nginx-lua": (nginx(lua=True), f"{PEERS}/lib/nginx/modules/ngx_http_lua_module.so"),
        "haproxy": (haproxy(HAPROXY_RETURN), "haproxy"),
        "haproxy-lua": (haproxy("mode http\n  http-request use-service lua.hello"), "haproxy"),
        "prosody": (prosody_http, f"{PEERS}/bin/prosody"),
        "node": (node_script("node_http.js"), "node"),
    },
    "tls": {
        "raw-libev": (raw_tls(), None),
        "gadwall": (gadwall("bench_tls"), None),
        "prosody": (prosody_tls, PROSODY),
        "node": (node_script("node_tls.js", True), "node"),
        "haproxy-lua": (haproxy(HAPROXY_ECHO, tls=True), "haproxy"),
    },
    "https": {
        "raw-libev": (raw_tls("-H"), None),
        "gadwall": (gadwall("https"), None),
        "nginx": (nginx(tls=True), "nginx"),
        "nginx-lua": (nginx(lua=True, tls=True), f"{PEERS}/lib/nginx/modules/ngx_http_lua_module.so"),
        "haproxy": (haproxy(HAPROXY_RETURN, tls=True), "haproxy"),
    },
    # What only gadwall has: of the items workers, share and closes.
    "busy": {
        "gadwall-1": (gadwall("bench_busy"), None),
        "gadwall-2": (gadwall("bench_busy", "workers = 2"), None),
    },
    "share": {"gadwall-2": (gadwall("bench_share", "workers = 2", '"bench_share"'), None)},
    "polite": {"gadwall": (gadwall("bench_polite", modules=STOP_MODULES), None)},
}


def missing(role, name):
    """What the server needs and is not here, or None."""
    need = SERVERS[role][name][1]
    if need is None or os.path.exists(need) or ("/" not in need and program(need)):
        return None
    return need


def present(role):
    """Names of a role's servers that were asked for and are here."""
    return [n for n in SERVERS[role] if (not ONLY or n in ONLY) and not missing(role, n)]


def tree(pid):
    """pid and its descendants."""
    found = [pid]
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", encoding="ascii") as f:
                for child in f.read().split():
                    found += tree(int(child))
    except OSError:
        pass
    return found


def answers(port):
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0


class Server:
    """One running server, pinned to a core with all its processes."""

    def __init__(self, role, name, core="0", prefix=()):
        self.role, self.name, self.port = role, name, free_port()
        self.folder = os.path.join(RUN, f"{role}-{name}")
        os.makedirs(self.folder, exist_ok=True)
        argv = [str(a) for a in SERVERS[role][name][0](self.folder, self.port)]
        env = dict(os.environ)
        if not name.startswith("gadwall"): # which is built against the system's libraries
            env.update(LUA_ENV, LD_LIBRARY_PATH=LIBS)
        self.log = os.path.join(self.folder, "log")
        with open(self.log, "w", encoding="utf-8") as log:
            self.began = time.perf_counter()
            self.process = subprocess.Popen(["taskset", "-c", core, *prefix, *argv], env=env,
                stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def wait(self, seconds=15):
        """Until it takes connections; False if it ended or never did."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and self.process.poll() is None:
            if answers(self.port):
                return True
            time.sleep(0.0005)
        return False

    def pids(self):
        return tree(self.process.pid)

    def command(self, *words, timeout=30):
        """A command of gadwall's to this instance: exit status and what it said."""
        run = subprocess.run([GADWALL, "-c", os.path.join(self.folder, "gadwall.cfg.lua"),
            *map(str, words)], check=False, timeout=timeout, capture_output=True, text=True)
        return run.returncode, run.stdout + run.stderr

    def last_words(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()[-300:].strip().replace("\n", " | ")

    def stop(self):
        # A second and a third signal hurry gadwall's stop, whose lame-duck time we need not.
        for _ in range(3):
            self.process.terminate()
            try:
                self.process.wait(2)
                return
            except subprocess.TimeoutExpired:
                pass
        for pid in self.pids():
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                pass
        self.process.wait()
