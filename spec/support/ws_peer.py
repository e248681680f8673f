"""A WebSocket client of its own, RFC 6455 with the standard library: ws_peer.py PORT PATH.
Talks to an echo and prints one line a step; raises where the peer is wrong."""
import base64
import hashlib
import os
import socket
import struct
import sys

sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20)
stream = sock.makefile("rb")


def send(opcode, data, fin=True, mask=True):
    size = len(data)
    head = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        head += bytes([(0x80 if mask else 0) | size])
    elif size < 65536:
        head += bytes([(0x80 if mask else 0) | 126]) + struct.pack(">H", size)
    else:
        head += bytes([(0x80 if mask else 0) | 127]) + struct.pack(">Q", size)
    key = os.urandom(4)
    body = bytes(byte ^ key[i % 4] for i, byte in enumerate(data)) if mask else data
    sock.sendall(head + (key if mask else b"") + body)


def receive():
    first, second = stream.read(2)
    assert second < 128, "a server masks nothing"
    size = second
    if size == 126:
        size, = struct.unpack(">H", stream.read(2))
    elif size == 127:
        size, = struct.unpack(">Q", stream.read(8))
    return first & 15, first & 128 != 0, stream.read(size)


def handshake():
    key = base64.b64encode(os.urandom(16))
    sock.sendall(b"GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n"
                 % (sys.argv[2].encode(), key))
    status = stream.readline()
    headers = {}
    while True:
        line = stream.readline().strip()
        if not line:
            break
        name, value = line.split(b":", 1)
        headers[name.lower()] = value.strip()
    guid = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
    assert headers[b"sec-websocket-accept"] == base64.b64encode(hashlib.sha1(key + guid).digest())
    print(status.decode().strip())


handshake()
for size in (0, 1, 125, 126, 65535, 65536):
    data = os.urandom(size)
    send(2, data)
    assert receive() == (2, True, data), size
print("sizes")
send(1, "pieces of ".encode(), fin=False)
send(9, b"ping")
send(0, "a message \u00e9".encode())
assert receive() == (10, True, b"ping")
assert receive() == (1, True, "pieces of a message \u00e9".encode())
print("pieces")
last = sys.argv[3] if len(sys.argv) > 3 else "close"
if last == "close":
    send(8, struct.pack(">H", 1000) + b"bye")
elif last == "unmasked":
    send(1, b"x", mask=False)
elif last == "reserved":
    send(3, b"x")
elif last == "large":
    sock.sendall(bytes([0x82, 0xff]) + struct.pack(">Q", 1 << 40) + b"1234")
elif last == "text":
    send(1, b"\xff\xfe")
elif last == "piece":
    send(0, b"x")
opcode, _, data = receive()
assert opcode == 8, opcode
print("closed", struct.unpack(">H", data[:2])[0])
assert stream.read() == b""
