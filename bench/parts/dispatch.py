# SPDX-License-Identifier: Apache-2.0
"""The sentry's path from event to reply by itself: bench/dispatch counts instructions under callgrind and takes the time."""
import os, re, shutil, statistics, subprocess, sys, tempfile

import common

STEPS = 100
program = os.path.join(common.out, "dispatch")


def count():
    """{row: instructions a step}, or why not."""
    if not shutil.which("valgrind"):
        return {}, "valgrind is not on PATH: no instructions are counted"
    with tempfile.TemporaryDirectory() as d:
        r = subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={d}/out", program, str(STEPS)],
                           capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if r.returncode != 0:
            return {}, f"callgrind ended with status {r.returncode}: {common.last_line(r.stderr.encode())}"
        counts = {}
        for name in os.listdir(d):
            with open(os.path.join(d, name)) as f:
                text = f.read()
            row = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.M)
            total = re.search(r"^(?:totals|summary): (\d+)", text, re.M)
            if row and total:
                counts[row[1]] = int(total[1]) / STEPS
    return counts, None if counts else "built without valgrind's header: no instructions are counted (make clean)"


def measure(quick):
    """{row: {calls, instructions, median_ns, min_ns, spread}}, and a remark or None."""
    if not os.access(program, os.X_OK):
        return {}, f"{os.path.relpath(program)} is missing: make bench builds it"
    counts, remark = count()
    rows = {}
    for _ in range(1 if quick else 3):
        r = subprocess.run([program], capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if r.returncode != 0:
            sys.exit(f"bench: dispatch ended with status {r.returncode}: {r.stderr.strip()}")
        for line in r.stdout.splitlines():
            name, calls, values = line.split("|")
            row = rows.setdefault(name, {"calls": int(calls), "instructions": counts.get(name), "ns": []})
            row["ns"] += [float(v) for v in values.split()]
    for row in rows.values():
        values = row.pop("ns")
        row.update(median_ns=round(statistics.median(values), 1), min_ns=round(min(values), 1),
                   spread=round(common.spread(values), 4))
    return rows, remark


def table(rows, remark):
    print(f"\n{'the sentry by itself':24}{'calls':>6}{'instructions':>14}{'ns':>10}{'±':>5}{'least':>10}")
    for name, r in rows.items():
        instructions = f"{r['instructions']:,.0f}" if r["instructions"] else "-"
        print(f"{name:24}{r['calls']:6}{instructions:>14}{r['median_ns']:10,.0f}{r['spread'] * 100:4.0f}%{r['min_ns']:10,.0f}")
    if remark:
        print(remark)
