#!/usr/bin/env python3
"""figure.py - draws what a run of the benchmark found: CPU per operation beside raw C libev.

usage: figure.py BENCH_JSON SVG [--main]      (--main: only the items of the README's figure)

The picture has a ground of its own and follows the reader's light or dark theme."""
import json
import sys
from html import escape

BASE, OURS = "raw-libev", "gadwall"
MAIN = ("echo-64-1", "echo-64-16", "http-64", "http-headers", "https-64", "tls-echo",
    "churn", "tls-handshake")
TITLES = {
    "echo-64-1": ("TCP echo", "64 connections"),
    "echo-64-16": ("TCP echo, pipelined", "64 connections, 16 messages in flight"),
    "echo-1000-1": ("TCP echo", "1,000 connections"),
    "echo-1000-16": ("TCP echo, pipelined", "1,000 connections, 16 in flight"),
    "line-64-16": ("Lines, pipelined", "one Lua callback a line, 16 in flight"),
    "http-64": ("HTTP keep-alive GET", "64 connections"),
    "http-256": ("HTTP keep-alive GET", "256 connections"),
    "http-headers": ("HTTP as browsers ask", "64 connections, 8 headers"),
    "https-64": ("HTTPS keep-alive GET", "64 connections"),
    "churn": ("Connect, one message, close", "64 at a time"),
    "tls-echo": ("TLS echo", "64 connections"),
    "tls-handshake": ("TLS handshake", "ECDSA P-256, full, one message"),
}
NAMES = {
    "raw-epoll": "raw C epoll", "nginx-lua": "nginx + LuaJIT", "haproxy": "HAProxy",
    "haproxy-lua": "HAProxy Lua", "prosody": "Prosody", "prosody-tuned": "Prosody, tuned",
    "node": "Node.js",
}

WIDTH, MARGIN, GAP, TOP = 880, 24, 32, 92
PANEL = (WIDTH - 2 * MARGIN - GAP) // 2
LABEL, ROW, BAR, HEAD = 112, 20, 12, 46
LONGEST = 1.15  # of the base: longer bars are cut there
SCALE = (PANEL - LABEL - 44) / LONGEST

STYLE = """
.ground { fill: #ffffff; stroke: #d5d9df } .title { fill: #1b1f24; font-size: 19px; font-weight: 600 }
.sub { fill: #59626d; font-size: 12.5px } .head { fill: #1b1f24; font-size: 14px; font-weight: 600 }
.name, .value { fill: #414952; font-size: 12px } .one { fill: #6d7681; font-size: 10.5px }
.value, .one { paint-order: stroke; stroke: #ffffff; stroke-width: 5px; stroke-linejoin: round }
.ours { fill: #0b7a75; font-weight: 700 }

.bar { fill: #b9c1cb } .bar.ours { fill: #12948d } .base { stroke: #8a939e; stroke-dasharray: 2 3 }
.foot { fill: #6d7681; font-size: 11px }
@media (prefers-color-scheme: dark) {
.ground { fill: #10151b; stroke: #2c343d } .title, .head { fill: #e8ecf1 } .sub { fill: #9aa4b0 }
.name, .value { fill: #bcc5cf } .one { fill: #8a94a0 } .value, .one { stroke: #10151b }
.ours { fill: #46d3c8 } .bar { fill: #4b5663 }
.bar.ours { fill: #2bb5ab } .base { stroke: #7b8692 } .foot { fill: #8a94a0 }
}
"""


def text(x, y, kind, words, anchor="start"):
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def rows_of(item):
    """(server, times raw libev, us an operation) of those that were reported, the cheapest first."""
    rows = [(n, f["of_raw"], f["us"]) for n, f in item["servers"].items() if "of_raw" in f and n != BASE]
    return sorted(rows, key=lambda row: -row[1])


def bar(x, y, row):
    server, ratio, us = row
    ours = " ours" if server == OURS else ""
    width = max(2, min(ratio, LONGEST) * SCALE)
    return (text(x + LABEL - 8, y + BAR - 1.5, "name" + ours, NAMES.get(server, server), "end")
        + f'<rect x="{x + LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" rx="2.5" '
        f'class="bar{ours}"><title>{escape(server)}: {us:.2f} us an operation</title></rect>'
        + text(x + LABEL + width + 6, y + BAR - 1.5, "value" + ours, f"{ratio:.2f}"))


def height_of(rows):
    return HEAD + len(rows) * ROW


def panel(x, y, name, item):
    rows = rows_of(item)
    title, about = TITLES.get(name, (name, item["what"]))
    at = x + LABEL + SCALE
    bottom = y + height_of(rows) - 4
    return (text(x, y + 12, "head", title) + text(x, y + 29, "sub", about)
        + f'<line x1="{at:.1f}" x2="{at:.1f}" y1="{y + HEAD - 8}" y2="{bottom}" class="base"/>'
        + text(at, y + HEAD - 12, "one", "raw C", "middle")
        + "".join(bar(x, y + HEAD + i * ROW, row) for i, row in enumerate(rows)))


def foot(run):
    """Two lines: when and on what; how."""
    about = run.get("about", {})
    what = [about.get("date", ""), about.get("machine", ""), about.get("gadwall", "")]
    how = [f"median of {run['rounds']} interleaved rounds of {run['seconds']:g} s on loopback",
        "each server alone on its core"]
    if run["limits"]["BENCH_FOREIGN"] > 0.5:
        how.append("while the machine did other work too")
    return [" · ".join(w for w in words if w) for words in (what, how)]


def draw(run, names=None):
    """The SVG of a run, of all items or of those that are named."""
    items = [(n, run["items"][n]) for n in names or run["items"]
        if n in run["items"] and rows_of(run["items"][n])]
    parts, y = [], TOP
    for i in range(0, len(items), 2):
        pair = items[i:i + 2]
        for k, (name, item) in enumerate(pair):
            parts.append(panel(MARGIN + k * (PANEL + GAP), y, name, item))
        y += max(height_of(rows_of(item)) for _, item in pair) + 22
    height = y + 34
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
        f'viewBox="0 0 {WIDTH} {height}" role="img" font-family="-apple-system, \'Segoe UI\', Roboto, '
        f'\'DejaVu Sans\', sans-serif"><title>CPU time per operation beside raw C</title>'
        f"<style>{STYLE}</style>"
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="10" class="ground"/>'
        + text(MARGIN, 38, "title", "CPU time per operation, beside raw C")
        + text(MARGIN, 60, "sub", "What a server in C on libev needs, divided by what each server needs: "
            "longer is cheaper. 1.00 is as cheap as C.")
        + "".join(parts)
        + "".join(text(MARGIN, height - 32 + 16 * i, "foot", line) for i, line in enumerate(foot(run))) + "</svg>\n")


def main():
    words = [w for w in sys.argv[1:] if w != "--main"]
    if len(words) != 2:
        sys.exit(__doc__)
    with open(words[0], encoding="utf-8") as f:
        run = json.load(f)
    with open(words[1], "w", encoding="utf-8") as f:
        f.write(draw(run, MAIN if "--main" in sys.argv else None))
    print(f"wrote {words[1]}")


if __name__ == "__main__":
    main()
