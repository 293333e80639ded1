# SPDX-License-Identifier: Apache-2.0
"""What an engine waits for: create, start, exec and delete of a container, each by itself, and the memory of one that idles.

The container is a busybox root whose program sleeps. The runtimes' rounds are interleaved, their order turned. exec runs
/bin/true inside, delete is `delete --force` of a container that runs.
"""
import os, statistics

import common, containers

ROUNDS, QUICK_ROUNDS = 61, 11
VERBS = ("create", "start", "exec", "delete")
IDLE_AIM_MIB = 4
OURS = ("sbx-monitor", "sbx-gofer", "sbx-sentry")


def once(rt, id, work):
    """One container's life: {figure: value}, or a word on what went wrong."""
    pid_file = os.path.join(work, "pid")
    found = {}
    rt.configure(id)
    steps = {"create": rt.create(id, pid_file), "start": rt.command("start", id),
             "exec": rt.command("exec", id, "/bin/true"), "delete": rt.command("delete", "--force", id)}
    try:
        for verb in VERBS:
            ms, kib, status, text = containers.timed(steps[verb])
            if status != 0:
                return f"{verb}: status {status}: {text}"
            found[verb] = ms
            if verb == "create":
                found["create_kib"] = kib
            if verb == "start":  # it sleeps now
                with open(pid_file) as f:
                    pid = int(f.read())
                all = [pid, *containers.below(pid)]
                sizes = {p: containers.pss(p) for p in all}
                found["all_kib"] = sum(sizes.values())
                if rt.ours:
                    found["idle_kib"] = sum(sizes[p] for p in all if containers.name_of(p) in OURS)
                found["processes"] = len(all)
        return found
    finally:
        if len(found) < len(VERBS) or "delete" not in found:
            containers.timed(rt.command("delete", "--force", id))
        containers.reap()


def percentile(values, p):
    values = sorted(values)
    return values[min(len(values) - 1, round(p / 100 * (len(values) - 1)))]


def figures(values):
    f = common.figures(values)
    for p in (50, 90, 99):
        f[f"p{p}"] = round(percentile(values, p), 4)
    return f


def measure(rounds, names=None):
    """({runtime: figures}, {runtime: why it is left out})"""
    containers.need_spawn()
    found, absent, failed = {}, {}, {}
    cgroups = f"/sentrybox-lifecycle-{os.getpid()}" if os.geteuid() == 0 else None
    with containers.workspace() as work:
        root = containers.busybox()
        ready = []
        for rt in containers.known():
            if names and rt.name not in names:
                continue
            if not rt.absent:
                rt.prepare(work, root, ["/bin/sleep", "1000000"], cgroups)
                rt.version = common.version_of(rt.program)
            if not rt.absent:  # once before those that count
                first = once(rt, f"bench-{rt.name}", work)
                rt.absent = f"can't run a container here: {first}" if isinstance(first, str) else None
            if rt.absent:
                absent[rt.name] = rt.absent
                continue
            ready.append(rt)
            found[rt.name] = {}
        try:
            for r in range(rounds if ready else 0):
                for rt in common.turned(ready, r):
                    life = once(rt, f"bench-{r}-{rt.name}", work)
                    if isinstance(life, str):
                        failed.setdefault(rt.name, set()).add(life)
                        continue
                    for key, value in life.items():
                        found[rt.name].setdefault(key, []).append(value)
        finally:
            if cgroups:
                containers.drop_cgroups(cgroups)
    result = {}
    for rt in ready:
        row = result[rt.name] = {"what": rt.what, "version": rt.version, "failed": sorted(failed.get(rt.name, ()))}
        for key, values in found[rt.name].items():
            row[key + "_ms" if key in VERBS else key] = figures(values)
    return result, absent


def table(result):
    beside = result.get("crun")
    print(f"\n{'a container':14}" + "".join(f"{v + ', ms':>12}{'p90':>7}{'p99':>7}{'x crun':>8}" for v in VERBS))
    for name, row in result.items():
        line = f"{name:14}"
        for verb in VERBS:
            f = row.get(f"{verb}_ms")
            if not f:
                line += f"{'-':>12}{'':22}"
                continue
            base = beside and beside.get(f"{verb}_ms")
            line += f"{f['median']:12.2f}{f['p90']:7.1f}{f['p99']:7.1f}" + (f"{f['median'] / base['median']:8.2f}" if base else f"{'-':>8}")
        print(line + ("  " + "; ".join(row["failed"]) if row["failed"] else ""))
    print(f"{'aim':14}" + f"{'':26}{'<= 1.00':>8}" * len(VERBS))
    print(f"\n{'memory':14}{'idle, MiB':>12}{'all, MiB':>12}{'processes':>12}{'create, MiB':>14}")
    for name, row in result.items():
        line = f"{name:14}"
        for key, width, divide, digits in (("idle_kib", 12, 1024, 2), ("all_kib", 12, 1024, 2), ("processes", 12, 1, 0),
                                           ("create_kib", 14, 1024, 2)):
            f = row.get(key)
            line += f"{f['median'] / divide:{width}.{digits}f}" if f else f"{'-':>{width}}"
        print(line)
    print(f"{'aim':14}{f'< {IDLE_AIM_MIB}':>12}")
    print("idle: monitor, gofer and sentry of one that sleeps, shared pages divided (PSS); all: with its program's processes;\n"
          "create: the most that the command itself had (resident)")


def missed(result):
    """Aims that this run doesn't meet, in words."""
    words = []
    for name in ("sentrybox", "image"):
        row, crun = result.get(name), result.get("crun")
        for verb in VERBS if row and crun else ():
            if row[f"{verb}_ms"]["median"] > crun[f"{verb}_ms"]["median"]:
                words.append(f"{name}: {verb} takes {row[f'{verb}_ms']['median'] / crun[f'{verb}_ms']['median']:.2f} of crun's time")
        if row and statistics.median(row["idle_kib"]["values"]) >= IDLE_AIM_MIB * 1024:
            words.append(f"{name}: {row['idle_kib']['median'] / 1024:.1f} MiB when idle")
    return words
