# SPDX-License-Identifier: Apache-2.0
"""The page: bench/page's three files and the figures it shows, in one file that needs nothing else."""
import json, os

import common

# Where a group of calls begins (bench/micro/rows.def has them in this order).
GROUPS = {"getpid": "What the kernel knows by heart", "stat": "Names", "fstat": "Descriptors and bytes",
          "pipe": "Channels and waiting, one thread", "mmap": "Memory", "sigprocmask": "Signals, processes, threads",
          "pipe-pingpong": "Between processes"}


def percentile(histogram, p):
    """Of [[value, count], ...]."""
    total, seen = sum(n for _, n in histogram), 0
    for value, n in histogram:
        seen += n
        if seen >= p * total:
            return value
    return 0


def cell(c):
    total = sum(n for _, n in c["histogram"]) or 1
    short = {k: c[f"{k}_ns"] for k in ("median", "min", "p50", "p90", "p99", "p999", "max")}
    # Zeros have no place on a logarithmic axis.
    hist = [[max(v, 1), round(n / total, 6)] for v, n in c["histogram"] if n / total >= 2e-5]
    return {**short, "spread": c["spread"], "p01": max(percentile(c["histogram"], 0.01), 1), "hist": hist}


def slim(result):
    """What the page shows: no single times."""
    data = dict(result)
    calls, group = [], None
    for r in result.get("calls", []):
        group = GROUPS.get(r["name"], group)
        calls.append({**r, "group": group, "methods": {m: cell(c) for m, c in r["methods"].items()}})
    data["calls"] = calls

    def without_values(x):
        if isinstance(x, dict):
            return {k: without_values(v) for k, v in x.items() if k != "values"}
        return x
    for part in ("start", "lifecycle", "programs"):
        if part in data:
            data[part] = without_values(data[part])
    return data


def write(result, gvisor, path):
    def part(name):
        with open(os.path.join(common.top, "bench", "page", name), encoding="utf-8") as f:
            return f.read()
    data = json.dumps({**slim(result), "gvisor": gvisor}, separators=(",", ":")).replace("<", "\\u003c")
    page = part("page.html")
    for mark, text in (("/*CSS*/", part("page.css")), ("/*JS*/", part("page.js")), ("/*DATA*/", data)):
        page = page.replace(mark, text, 1)
    with open(path + ".new", "w", encoding="utf-8") as f:
        f.write(page)
    os.replace(path + ".new", path)
