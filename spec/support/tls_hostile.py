"""Peers that break TLS on purpose: tls_hostile.py PORT CASE… Says what the server did
at the end of each: "closed", "reset", "alert N" (what came in the clear before the end) or "still
open"."""

import os
import socket
import ssl
import struct
import sys


def record(kind, body, version=b"\3\3"):
    return bytes([kind]) + version + struct.pack(">H", len(body)) + body


def extension(number, body):
    return struct.pack(">HH", number, len(body)) + body


def server_name(name):
    entry = b"\0" + struct.pack(">H", len(name)) + name
    return extension(0, struct.pack(">H", len(entry)) + entry)


def hello(extensions=b"", session=b""):
    suites = b"\x13\x01\xc0\x2b\xc0\x2f"
    body = (b"\3\3" + os.urandom(32) + bytes([len(session)]) + session
            + struct.pack(">H", len(suites)) + suites + b"\1\0")
    extensions += extension(10, b"\0\4\0\x1d\0\x17") + extension(13, b"\0\4\4\3\x08\4")
    body += struct.pack(">H", len(extensions)) + extensions
    return b"\1" + struct.pack(">I", len(body))[1:] + body


def shaken(raw, version):
    """A finished handshake, and the object that makes records for it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = context.maximum_version = version
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing)
    while True:
        try:
            tls.do_handshake()
            break
        except ssl.SSLWantReadError:
            raw.sendall(outgoing.read())
            incoming.write(raw.recv(65536))
    raw.sendall(outgoing.read())

    def seal(data):
        tls.write(data)
        return outgoing.read()
    return seal


def flood(raw, piece, times):
    for _ in range(times):
        raw.sendall(piece)


def before(raw, case):
    if case == "one-byte-records":
        for byte in hello():
            raw.sendall(record(22, bytes([byte])))
        return
    pieces = {
        "empty-records": record(22, b"") * 100,
        "warnings": record(21, b"\1\x5a") * 100,
        "change-cipher-spec": record(20, b"\1") * 100,
        "data-first": record(23, b"hello"),
        "unknown-type": record(99, b"hello"),
        "huge-record": record(22, b"x" * 65535),
        "huge-hello": record(22, b"\1\xff\xff\xff" + b"x" * 16000) + record(22, b"x" * 16384) * 300,
        "no-name": record(22, hello(extension(0, b""))),
        "short-name": record(22, hello(extension(0, b"\0\5\0\0\xffx"))),
        "zero-in-name": record(22, hello(server_name(b"local\0host"))),
        "long-name": record(22, hello(server_name(b"x" * 10000))),
        "many-names": record(22, hello(server_name(b"a") * 50)),
        "truncated-extension": record(22, hello()[:-3]),
        "wrong-length": record(22, hello() + b"x" * 50),
        "finished-first": record(22, b"\x14\0\0\x0c" + b"x" * 12),
        "sslv2": b"\x80\x2e\1\0\2\0\x15\0\0\0\x10" + b"x" * 40,
    }
    raw.sendall(pieces[case])


def after(raw, case, version):
    seal = shaken(raw, version)
    if case == "junk":
        raw.sendall(record(23, os.urandom(200)))
    elif case == "flipped":
        sealed = bytearray(seal(b"hello\n"))
        sealed[-1] ^= 1
        raw.sendall(sealed)
    elif case == "repeated":
        sealed = seal(b"hello\n")
        raw.sendall(sealed + sealed)
    elif case == "too-long":
        raw.sendall(record(23, b"x" * 20000))
    elif case == "cut":
        raw.sendall(seal(b"x" * 1000)[:500])
        raw.shutdown(socket.SHUT_WR)
    elif case == "clear":
        raw.sendall(b"QUIT\r\n" * 100)
    elif case == "clear-alerts":
        raw.sendall(record(21, b"\1\x5a") * 100)
    elif case == "change-cipher-specs":
        flood(raw, record(20, b"\1"), 100)
    elif case == "clear-hello":
        raw.sendall(record(22, hello()))
    elif case == "empty":
        raw.sendall(record(23, b"") * 100)


def outcome(raw):
    raw.settimeout(30)
    got = b""
    try:
        while True:
            piece = raw.recv(65536)
            if not piece:
                break
            got += piece
    except ConnectionResetError:
        return "reset"
    except TimeoutError:
        return "still open"
    if len(got) == 7 and got[0] == 21:
        return "alert %d" % got[6]
    return "closed"


def one(port, case):
    raw = socket.create_connection(("127.0.0.1", port), 10)
    try:
        if case.startswith("1.2 "):
            after(raw, case[4:], ssl.TLSVersion.TLSv1_2)
        elif case.startswith("1.3 "):
            after(raw, case[4:], ssl.TLSVersion.TLSv1_3)
        else:
            before(raw, case)
    except (BrokenPipeError, ConnectionResetError):
        pass
    print("%s: %s" % (case, outcome(raw)), flush=True)
    raw.close()


for name in sys.argv[2:]:
    one(int(sys.argv[1]), name)
