# SPDX-License-Identifier: Apache-2.0
"""What a sandbox costs before and beside its program: start to exit of /bin/true, starts a second with four at a time, and
memory (PSS) and time of one idle sandbox and of a hundred at once."""
import os, select, statistics, subprocess, time

import common

null = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
IDLE = ["/bin/sh", "-c", "echo up; read x"]
ROUNDS, QUICK_ROUNDS = 31, 7
LIMIT = 120  # seconds for many to be up, and to end


def once(m):
    command = m.command(["/bin/true"])
    start = time.perf_counter()
    status = subprocess.call(command, **null, env=common.env, cwd="/")
    return (time.perf_counter() - start) * 1e3, status


def storm(m, count, width=4):
    """Starts a second."""
    running, left = [], count
    first = m.command(["/bin/true"])
    start = time.perf_counter()
    while left or running:
        while left and len(running) < width:
            command = m.again() if m.bundle else first
            running.append(subprocess.Popen(command, **null, env=common.env, cwd="/"))
            left -= 1
        running.pop(0).wait()
    return count / (time.perf_counter() - start)


def tree(pid):
    found = [pid]
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as f:
                for c in f.read().split():
                    found += tree(int(c))
    except OSError:
        pass
    return found


def memory(pids):
    """MiB, each shared page divided among those that share it."""
    total = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
        except OSError:
            pass
    return total / 1024


def at_once(m, count):
    """(ms until all are up, MiB all together, ms until all are gone), or a word on what went wrong."""
    first = m.command(IDLE)
    start = time.perf_counter()
    running = []
    try:
        for _ in range(count):
            running.append(subprocess.Popen(m.again() if m.bundle else first, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                            stderr=subprocess.DEVNULL, env=common.env, cwd="/"))
        waiting = {p.stdout.fileno(): p for p in running}
        while waiting:
            ready, _, _ = select.select(list(waiting), [], [], LIMIT)
            if not ready:
                return f"{len(waiting)} of {count} were not up after {LIMIT} s"
            for fd in ready:
                if not os.read(fd, 16):
                    return "one ended before it was up"
                del waiting[fd]
        up = (time.perf_counter() - start) * 1e3
        mib = memory([pid for p in running for pid in tree(p.pid)])
        start = time.perf_counter()
        for p in running:
            p.stdin.close()
        for p in running:
            p.wait(LIMIT)
        return up, mib, (time.perf_counter() - start) * 1e3
    except (OSError, subprocess.TimeoutExpired) as e:
        return str(e)
    finally:
        for p in running:
            if p.poll() is None:
                p.kill()
                p.wait()
            p.stdin.close()
            p.stdout.close()


def measure(methods, quick, rounds):
    """{method: figures}"""
    methods = common.present(methods)
    times, rates, ones, many, failed = ({m.name: [] for m in methods} for _ in range(5))
    for r in range(rounds):
        for m in common.turned(methods, r):
            ms, status = once(m)
            if status == 0:
                times[m.name].append(ms)
            else:
                failed[m.name].append(f"/bin/true: status {status}")
    for r in range(2 if quick else 5):
        for m in common.turned(methods, r):
            rates[m.name].append(storm(m, 40 if quick else 80))
            ones[m.name].append(at_once(m, 1))
    for r in range(1 if quick else 3):
        for m in common.turned(methods, r):
            many[m.name].append(at_once(m, 100))
    result = {}
    native = times.get("native")
    for m in methods:
        row = result[m.name] = {}
        if times[m.name]:
            row["start_ms"] = common.figures(times[m.name], native if m.name != "native" else None)
        row["starts_per_second"] = common.figures(rates[m.name])
        good = [x for x in ones[m.name] if not isinstance(x, str)]
        if good:
            row["idle_mib"] = common.figures([x[1] for x in good])
        good = [x for x in many[m.name] if not isinstance(x, str)]
        if good:
            for key, i in (("hundred_up_ms", 0), ("hundred_mib", 1), ("hundred_gone_ms", 2)):
                row[key] = common.figures([x[i] for x in good])
        row["failed"] = sorted({*failed[m.name], *(x for x in ones[m.name] + many[m.name] if isinstance(x, str))})
    return result


def table(result, gvisor):
    columns = (("start_ms", "start, ms", 10, 2), ("starts_per_second", "starts/s", 10, 0), ("idle_mib", "idle, MiB", 11, 1),
               ("hundred_up_ms", "100 up, ms", 12, 0), ("hundred_mib", "100, MiB", 10, 0), ("hundred_gone_ms", "gone, ms", 10, 0))
    print(f"\n{'a sandbox':14}" + "".join(f"{title:>{w}}{'±':>5}" for _, title, w, _ in columns))
    for name, row in result.items():
        line = f"{name:14}"
        for key, _, w, digits in columns:
            f = row.get(key)
            line += f"{f['median']:{w},.{digits}f}{f['spread'] * 100:4.0f}%" if f else f"{'-':>{w}}{'':5}"
        print(line + ("  " + "; ".join(row["failed"]) if row["failed"] else ""))
    known = gvisor["start"]
    print(f"{'gVisor*':14}{known['start_ms']:10,.0f}{'':5}{known['starts_per_second']:10,.0f}{'':5}{known['idle_mib']:11,.0f}")
