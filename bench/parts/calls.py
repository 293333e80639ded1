# SPDX-License-Identifier: Apache-2.0
"""Single calls: `sentrybox bench` measures them; here it is started, and its table is made."""
import json, subprocess, sys

import common

ROUNDS, QUICK_ROUNDS = 7, 2


def measure(methods, quick, rounds, only=None):
    """The rows of `sentrybox bench --json`, and why some methods have none."""
    names = ",".join(m.name for m in common.present(methods))
    command = [common.box, "bench", "--json", "--method", names, "--threads", "1" if quick else "1,2",
               "--rounds", str(rounds)]
    if only:
        command += ["--call", only]
    r = subprocess.run(command, stdout=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
    if not r.stdout.startswith("{"):
        sys.exit(f"bench: {' '.join(command)} ended with status {r.returncode}")
    result = json.loads(r.stdout)
    return result["calls"], result["absent"]


def ns(v):
    return f"{v:,.0f}" if v >= 100 else f"{v:.1f}"


def table(rows, methods, gvisor):
    for threads in (1, 2):
        these = [r for r in rows if r["threads"] == threads]
        if not these:
            continue
        others = [m for m in methods if m != "native" and any(m in r["methods"] for r in these)]
        print(f"\n{'one thread, ns a call' if threads == 1 else 'two threads, ns a call':24}{'native':>11}{'±':>5}{'p99':>9}"
              + "".join(f"{m:>12}{'ratio':>8}{'p99':>11}" for m in others) + f"{'aim':>7}{'gVisor*':>9}")
        for r in these:
            native = r["methods"].get("native")
            line = f"{r['name']:24}"
            line += f"{ns(native['median_ns']):>11}{native['spread'] * 100:4.0f}%{ns(native['p99_ns']):>9}" if native \
                else f"{'failed':>11}{'':14}"
            for m in others:
                c = r["methods"].get(m)
                line += f"{ns(c['median_ns']):>12}{c.get('ratio', 0):8.2f}{ns(c['p99_ns']):>11}" if c \
                    else f"{'failed' if m in r['failed'] else '-':>12}{'':19}"
            known = gvisor["calls"].get(r["name"]) if threads == 1 else None
            line += f"{r['aim']:7.1f}" if r["aim"] else f"{'':7}"
            line += f"{known['ns'] / known['native_ns']:9.2f}" if known else ""
            print(line)
