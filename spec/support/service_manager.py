"""A service manager with a descriptor store, as systemd has it: service_manager.py FOLDER COMMAND…

Listens on FOLDER/notify, keeps what comes with FDSTORE=1 under its FDNAME, starts COMMAND with
NOTIFY_SOCKET; when COMMAND dies by a signal it starts it once more with what it keeps as
LISTEN_FDS. Each word is a line "PID TEXT" of FOLDER/heard (newlines are blanks); descriptors that
are kept, "store NAME". Ends with COMMAND's status."""
import array
import os
import select
import socket
import sys

folder, command = sys.argv[1], sys.argv[2:]
notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
notify.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
notify.bind(folder + "/notify")
heard = open(folder + "/heard", "w", buffering=1)
store = {}


def start():
    names = sorted(store)
    pid = os.fork()
    if pid:
        return pid
    os.environ["NOTIFY_SOCKET"] = folder + "/notify"
    high = [os.dup2(store[name], 200 + i, inheritable=True) for i, name in enumerate(names)]
    for i, fd in enumerate(high):
        os.dup2(fd, 3 + i, inheritable=True)
        os.close(fd)
    if names:
        os.environ.update(LISTEN_FDS=str(len(names)), LISTEN_PID=str(os.getpid()),
                          LISTEN_FDNAMES=":".join(names))
    os.execvp(command[0], command)


def receive():
    space = socket.CMSG_SPACE(12) + socket.CMSG_SPACE(64)
    data, control, _, _ = notify.recvmsg(8192, space)
    fds, sender = array.array("i"), 0
    for _, kind, body in control:
        if kind == socket.SCM_RIGHTS:
            fds.frombytes(body)
        elif kind == socket.SCM_CREDENTIALS:
            sender = int.from_bytes(body[:4], "little")
    text = data.decode()
    words = dict(line.split("=", 1) for line in text.split("\n") if "=" in line)
    name = words.get("FDNAME", "stored")
    if "FDSTORE" in words:
        for fd in fds:
            if name in store:
                os.close(store[name])
            store[name] = os.dup(fd)
        heard.write("store %s\n" % name)
    elif "FDSTOREREMOVE" in words:
        os.close(store.pop(name))
        heard.write("remove %s\n" % name)
    for fd in fds:
        os.close(fd)
    heard.write("%d %s\n" % (sender, text.replace("\n", " ")))


child, again = start(), True
while True:
    ready, _, _ = select.select([notify], [], [], 0.05)
    if ready:
        receive()
        continue
    pid, status = os.waitpid(child, os.WNOHANG)
    if not pid:
        continue
    code = os.waitstatus_to_exitcode(status)
    heard.write("ended %d\n" % code)
    if code < 0 and again:
        child, again = start(), False
        continue
    sys.exit(code & 255)
