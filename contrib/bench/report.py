"""What a run found, as text and JSON."""
import json
import statistics as st

BASE = "raw-libev"
OURS = ("gadwall",)


def counted(rounds):
    return [r for r in rounds if r and not r["refused"]]


def ratios(rounds, base, key="us_per"):
    """Base by own, of the rounds in which both count: above 1 is cheaper than the base."""
    return [b[key] / a[key] for a, b in zip(rounds, base)
        if a and b and not a["refused"] and not b["refused"] and a[key]]


def ratio(item, server, peer):
    """How many times more CPU the peer needs than the server, in one item of a run; None if one of
    them was not reported."""
    both = [item["servers"].get(n, {}) for n in (server, peer)]
    if not all("us" in f for f in both):
        return None
    found = ratios(item["rounds"][server], item["rounds"][peer])
    return st.median(found) if found else None


def summary(item, results):
    """Figures of each server in one item; a server without enough rounds only says why."""
    out = {}
    for name, rounds in results.items():
        good = counted(rounds)
        if len(good) * 2 <= len(rounds):
            why = [r["refused"].split(":")[0] for r in rounds if r and r["refused"]]
            texts = [r["refused"] for r in rounds if r and r["refused"] and ":" in r["refused"]]
            out[name] = {"refused": {w: why.count(w) for w in sorted(set(why))}, "text": texts[:1]}
            continue
        figures = {"us": st.median(r["us_per"] for r in good), "rounds": len(good)}
        if not any(r.get("limited") for r in good):
            for key in ("rate", "p50", "p99", "p999", "server_cpu", "client_cpu"):
                figures[key] = st.median(r[key] for r in good)
        ratio = ratios(rounds, results.get(BASE, []))
        if ratio:
            figures["of_raw"] = st.median(ratio)
        out[name] = figures
    peers = [n for n in out if "us" in out[n] and not n.startswith("raw") and n not in OURS]
    best = min(peers, key=lambda n: out[n]["us"], default=None)
    for name, figures in out.items():
        ratio = best and "us" in figures and ratios(results[name], results[best])
        if ratio:
            figures["of_best"] = st.median(ratio)
    return {"servers": out, "best_peer": best, "what": item.what}


def cell(figures, key, form):
    return form.format(figures[key]) if key in figures else "-"


def table(name, result, rounds):
    """Prints one item."""
    print(f"\n## {name}: {result['what']}; best peer: {result['best_peer'] or 'none'}")
    print(f"{'server':15}{'CPU us/op':>10}{'x raw':>7}{'x best':>7}{'ops/s':>10}{'busy':>6}"
        f"{'p50':>9}{'p99':>9}{'p99.9':>9} us  rounds")
    for server, f in result["servers"].items():
        if "us" not in f:
            why = ", ".join(f"{reason} ({n})" for reason, n in f["refused"].items())
            print(f"{server:15} not reported: {why} {' '.join(f['text'])}")
            continue
        print(f"{server:15}{f['us']:10.3f}{cell(f, 'of_raw', '{:.3f}'):>7}"
            f"{cell(f, 'of_best', '{:.2f}'):>7}{cell(f, 'rate', '{:.0f}'):>10}"
            f"{cell(f, 'server_cpu', '{:.2f}'):>6}{cell(f, 'p50', '{:.0f}'):>9}"
            f"{cell(f, 'p99', '{:.0f}'):>9}{cell(f, 'p999', '{:.0f}'):>9}     {f['rounds']}/{rounds}")


def write_json(path, run):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(run, f, indent=1)
