# SPDX-License-Identifier: Apache-2.0
"""Many containers at once: made and started, each at work, all alive at one moment, and then nothing of any left.

Each program waits until all are there (their stdin is one pipe, which is closed then), and all of them work at the same time:
write a file and read it back, compute, have an echo over the loopback, say "ok" on stdout, sleep. That all
live at once is asked of each monitor (`list`), and of one more program in each (`exec`). What is left is found by
comparing before and after: our own descendants (we are the subreaper of all), the state directory, cgroups of the path that
the bundles name, mounts, and the files in /tmp, /run, /dev/shm and /var/tmp. As root those four are mounted anew for this
run, so that what others do on the machine can't be mistaken for ours, nor hide it.
"""
import json, os, shutil, subprocess, sys, threading, time

import common, containers

WORLD = "SENTRYBOX_MANY_WORLD"
PLACES = ("/tmp", "/run", "/dev/shm", "/var/tmp")
PATIENCE = 300  # seconds for all to have worked: a bound for what hangs
SCRIPT = r"""
n=$1
read go  # the end of stdin, which all have: when everyone is there
i=0; while [ $i -lt 200 ]; do echo "line $i of $n"; i=$((i+1)); done >/tmp/file
[ "$(wc -l </tmp/file)" = 200 ] && [ "$(tail -n 1 /tmp/file)" = "line 199 of $n" ] || { echo "bad file"; exit 1; }
i=0; s=0; while [ $i -lt 2000 ]; do s=$(((s * 31 + i + n) % 1000003)); i=$((i+1)); done
echo "hello $n $s" >/tmp/word
nc -l -p 7000 -e /bin/cat & server=$!
i=0; until nc 127.0.0.1 7000 </tmp/word >/tmp/back 2>/dev/null && [ -s /tmp/back ]; do
	kill -0 $server 2>/dev/null || { nc -l -p 7000 -e /bin/cat & server=$!; }
	i=$((i+1)); [ $i -lt 300 ] || { echo "no echo"; exit 1; }; sleep 0.1
done
[ "$(cat /tmp/back)" = "hello $n $s" ] || { echo "bad echo"; exit 1; }
echo "ok $n $s"
exec sleep 1000000
"""


def expected(n):
    s = 0
    for i in range(2000):
        s = (s * 31 + i + n) % 1000003
    return f"ok {n} {s}\n"


def own_world():
    """As root: executes this program again where PLACES are new and empty (the tree that we lie in is brought along)."""
    if os.geteuid() != 0 or os.environ.get(WORLD):
        return
    keep = sorted({common.top, os.path.realpath(common.build)}, key=len)
    keep = [d for i, d in enumerate(keep) if not any(d == k or d.startswith(k + "/") for k in keep[:i])]
    keep = [d for d in keep if any(d.startswith(p + "/") for p in PLACES)]
    script = 'mount -t tmpfs -o mode=755 run /run && ' + "".join(
        f'mkdir /run/keep{i} && mount --bind "{d}" /run/keep{i} && ' for i, d in enumerate(keep))
    script += "".join(f"mount -t tmpfs -o mode=1777 tmp {p} && " for p in PLACES if p != "/run")
    script += "".join(f'mkdir -p "{d}" && mount --bind /run/keep{i} "{d}" && umount /run/keep{i} && rmdir /run/keep{i} && '
                      for i, d in enumerate(keep))
    script += f'cd "{common.top}" && exec "$@"'
    if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
        return
    os.environ[WORLD] = "1"
    os.execvp("unshare", ["unshare", "-m", "--propagation", "private", "sh", "-c", script, "sh", sys.executable,
                          os.path.abspath(sys.argv[0]), *sys.argv[1:]])


def snapshot(cgroups):
    found = {"processes": sorted(f"{p} {containers.name_of(p)}" for p in containers.below(os.getpid()))}
    with open("/proc/self/mountinfo") as f:
        found["mounts"] = sorted(f)
    found["cgroups"] = containers.cgroups_named(cgroups) if cgroups else []
    # Elsewhere than in a world of our own others come and go in these.
    found["files"] = sorted(os.path.join(d, name) for p in PLACES for d, dirs, files in os.walk(p) for name in dirs + files
                            if not d.startswith(common.top) and not os.path.join(d, name).startswith(common.top)) \
        if os.environ.get(WORLD) else []
    return found


def each(n, width, fn):
    """fn(i) for all, `width` at a time; what each returned. Threads: they only wait for commands."""
    results, next_one, lock = [None] * n, iter(range(n)), threading.Lock()

    def work():
        while True:
            with lock:
                i = next(next_one, None)
            if i is None:
                return
            results[i] = fn(i)
    threads = [threading.Thread(target=work) for _ in range(width)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return results


def measure(count, width=4, platform="notify", image=False):
    """All there is to say; "failed" lists what went wrong, and is empty if all is well."""
    failed, found = [], {"containers": count, "width": width, "platform": platform, "image": image, "failed": []}
    cgroups = f"/sentrybox-many-{os.getpid()}" if os.geteuid() == 0 else None
    before = snapshot(cgroups)
    with containers.workspace() as work:
        rt = next(r for r in containers.known() if r.name == ("image" if image else "sentrybox"))
        rt.prepare(work, containers.busybox(), [], None)
        if rt.absent:
            return {**found, "failed": [rt.absent]}
        for i in range(count):  # a bundle each, as an engine has
            d = os.path.join(work, f"b{i}")
            os.mkdir(d)
            config = {**rt.config, "annotations": {"dev.sentrybox.platform": platform},
                      "process": {**rt.config["process"], "args": ["/bin/sh", "-c", SCRIPT, "sh", str(i)]}}
            if cgroups:
                config["linux"] = {**rt.config["linux"], "cgroupsPath": f"{cgroups}/c{i}"}
            with open(os.path.join(d, "config.json"), "w") as f:
                json.dump(config, f)

        go_read, go = os.pipe()

        def command(verb, *args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL):
            """What went wrong, or None."""
            with open(os.path.join(work, f"said-{threading.get_ident()}"), "w+b") as said:
                try:
                    r = subprocess.run(rt.command(verb, *args), stdin=stdin, stdout=stdout, stderr=said,
                                       env=common.env, cwd="/", timeout=PATIENCE)
                except subprocess.TimeoutExpired:
                    return f"{verb} {args[-1]}: did not return"
                said.seek(0)
                return f"{verb} {args[-1]}: status {r.returncode}: {common.last_line(said.read())}" if r.returncode else None

        def up(i):
            with open(os.path.join(work, f"out{i}"), "wb") as out:
                return command("create", "--bundle", os.path.join(work, f"b{i}"), "--pid-file", os.path.join(work, f"pid{i}"),
                               f"c{i}", stdin=go_read, stdout=out) or command("start", f"c{i}")

        def said(i):
            with open(os.path.join(work, f"out{i}")) as f:
                return f.read()

        def ours():
            """What `list` tells."""
            r = subprocess.run(rt.command("list", "--format", "json"), capture_output=True, text=True, timeout=PATIENCE)
            return json.loads(r.stdout or "[]")

        try:
            start = time.perf_counter()
            failed += [e for e in each(count, width, up) if e]
            found["up_s"] = time.perf_counter() - start
            found["per_second"] = count / found["up_s"]
            early = [i for i in range(count) if said(i)]
            if early:
                failed.append(f"c{early[0]} did not wait: {said(early[0])!r}")
            start = time.perf_counter()
            os.close(go)
            go = None
            waiting = set(range(count))
            while waiting and time.perf_counter() - start < PATIENCE and not failed:
                waiting = {i for i in waiting if not said(i).endswith("\n")}
                if waiting:
                    time.sleep(0.01)
            found["worked_s"] = time.perf_counter() - start
            for i in range(count):
                if said(i) != expected(i):
                    failed.append(f"c{i} said {said(i)!r}, not {expected(i)!r}")
            # Now, with all of them there.
            states = ours()
            found["live"] = len({c["pid"] for c in states if c["status"] == "running" and os.path.exists(f"/proc/{c['pid']}")})
            if found["live"] != count:
                failed.append(f"{found['live']} of {count} live at once")
            pids = containers.below(os.getpid())
            found["processes"] = len(pids)
            found["mib"] = sum(containers.pss(p) for p in pids) / 1024
            start = time.perf_counter()
            failed += [e for e in each(count, width, lambda i: command("exec", f"c{i}", "/bin/sh", "-c", "[ -s /tmp/back ]")) if e]
            found["execs_s"] = time.perf_counter() - start
            again = ours()
            if {c["pid"] for c in again if c["status"] == "running"} != {c["pid"] for c in states}:
                failed.append("not all that lived lived on")
        finally:
            os.close(go_read)
            if go is not None:
                os.close(go)
            start = time.perf_counter()
            failed += [e for e in each(count, width, lambda i: command("delete", "--force", f"c{i}")) if e]
            found["gone_s"] = time.perf_counter() - start
            if ours():
                failed.append(f"list still tells of {len(ours())}")
            containers.reap()
            left = os.listdir(rt.state) if os.path.isdir(rt.state) else []
            if left:
                failed.append(f"left in the state directory: {left[:5]}")
            if cgroups:
                rest = [d for d in containers.cgroups_named(cgroups) if not d.endswith(cgroups)]
                if rest:
                    failed.append(f"left: cgroups {rest[:5]}")
                containers.drop_cgroups(cgroups)  # the parent, which the bundles named and the runtime made
    after = snapshot(cgroups)
    for what in before:
        new = sorted(set(after[what]) - set(before[what]))
        found[f"left_{what}"] = len(new)
        if new:
            failed.append(f"left: {what}: {new[:5]}")
    found["failed"] = failed
    return found


def table(f):
    if "live" in f:
        print(f"\n{f['containers']} containers, {f['width']} commands at a time, {f['platform']}, {'an image' if f['image'] else 'a directory'}\n"
              f"{'created and started':24}{f['up_s']:8.2f} s{f['per_second']:8.1f} a second   (aim: 50)\n"
              f"{'their work, all at once':24}{f['worked_s']:8.2f} s\n"
              f"{'alive at once':24}{f['live']:8}  {f['processes']:8} processes\n"
              f"{'memory of all (PSS)':24}{f['mib']:8.0f} MiB{f['mib'] / f['containers']:6.2f} MiB each\n"
              f"{'an exec in each':24}{f['execs_s']:8.2f} s{f['containers'] / f['execs_s']:8.1f} a second\n"
              f"{'deleted by force':24}{f['gone_s']:8.2f} s{f['containers'] / f['gone_s']:8.1f} a second\n"
              f"left behind: " + ", ".join(f"{f[k]} {k[5:]}" for k in f if k.startswith("left_")))
    for line in f["failed"][:20]:
        print(f"FAILED: {line}")
