# SPDX-License-Identifier: Apache-2.0
"""What bench/apps and bench/micro share: where things are, which ways to run a program there are, and a place to write.

A *method* is a command line to put before a program's own, and a directory in which the program may write there. Natively
that directory is on a tmpfs, because in a sandbox files are in memory too: a disk on one side would flatter the sandbox.
"""
import json, os, shutil, signal, statistics, subprocess, sys, tempfile, time

top = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
box = os.path.join(top, "build", "sentrybox")
out = os.path.join(top, "build", "bench")
# The same few variables everywhere; LC_ALL is among those a sandbox passes on.
env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C"}


class Method:
    def __init__(self, name, prefix, work):
        self.name, self.prefix, self.work = name, prefix, work


def tmpfs(need):
    """A new directory on a tmpfs with `need` bytes free that programs may be executed from, or None."""
    mounts = {}
    with open("/proc/mounts") as f:
        for line in f:
            _, where, kind, options = line.split()[:4]
            mounts[where] = kind == "tmpfs" and "noexec" not in options.split(",")
    for where in (os.environ.get("BENCH_TMPFS"), "/dev/shm", "/tmp", "/run", f"/run/user/{os.getuid()}"):
        if where and mounts.get(where) and os.access(where, os.W_OK):
            s = os.statvfs(where)
            if s.f_bavail * s.f_frsize >= need:
                return tempfile.mkdtemp(prefix="sentrybox-bench-", dir=where)
    return None


def methods(who, platforms, bwrap, need):
    """[native, notify, ...]; native is first. The caller removes native's directory."""
    if not os.access(box, os.X_OK):
        sys.exit(f"{who}: {os.path.relpath(box)} is missing: run make")
    work = tmpfs(need)
    if not work:
        work = tempfile.mkdtemp(prefix="sentrybox-bench-")
        print(f"{who}: no tmpfs with {need >> 20} MiB free to run programs on; native writes go to {work}, so native is "
              "slower than it should be (BENCH_TMPFS names another)", file=sys.stderr)
    found = [Method("native", [], work)]
    for p in platforms:
        found.append(Method(p, [box, "do", "--platform", p, "--"], "/tmp/sentrybox-bench"))
    if bwrap and shutil.which("bwrap"):
        found.append(Method("bwrap", ["bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs",
                                      "/dev/shm", "--unshare-pid", "--unshare-net", "--"], "/dev/shm/sentrybox-bench"))
    elif bwrap:
        print(f"{who}: bwrap is not on PATH: left out", file=sys.stderr)
    for m in list(found):
        try:
            status = run([*m.prefix, "/bin/true"], 60)[1]
        except subprocess.TimeoutExpired:
            status = "none (timed out)"
        if status != 0:
            print(f"{who}: {m.name} can't run /bin/true here (status {status}): left out", file=sys.stderr)
            found.remove(m)
    if len(found) < 2 or found[0].name != "native":
        shutil.rmtree(work, ignore_errors=True)
        sys.exit(f"{who}: nothing to compare")
    return found


def run(command, timeout):
    """(milliseconds, status, stdout, stderr) of one run."""
    start = time.perf_counter()
    p = subprocess.Popen(command, env=env, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE, start_new_session=True)
    try:
        stdout, stderr = p.communicate(timeout=timeout)
    except BaseException:
        os.killpg(p.pid, signal.SIGKILL)  # natively the program's children are in it; a sandbox ends with its command
        p.communicate()
        raise
    return (time.perf_counter() - start) * 1e3, p.returncode, stdout, stderr


def spread(values):
    """Half the distance between the quartiles, as a share of the median: how much to trust that median."""
    if len(values) < 3:
        return 0.0
    q = statistics.quantiles(values, n=4, method="inclusive")
    return (q[2] - q[0]) / 2 / q[1]


def machine(rounds):
    with open("/proc/cpuinfo") as f:
        cpu = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "unknown")
    git = subprocess.run(["git", "-C", top, "describe", "--always", "--dirty"], capture_output=True, text=True) \
        if shutil.which("git") else None
    return {"when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "rounds": rounds, "kernel": os.uname().release,
            "cpu": cpu, "cpus": len(os.sched_getaffinity(0)), "load_before": os.getloadavg()[0],
            "commit": git.stdout.strip() if git and git.returncode == 0 else None}


def save(name, result):
    result["machine"]["load_after"] = os.getloadavg()[0]
    os.makedirs(out, exist_ok=True)
    path = os.path.join(out, name)
    with open(path + ".new", "w") as f:
        json.dump(result, f, indent=1)
        f.write("\n")
    os.replace(path + ".new", path)
    m = result["machine"]
    print(f"\n{m['rounds']} rounds; {m['cpus']} CPUs, {m['cpu']}, Linux {m['kernel']}; load {m['load_before']:.1f} before, "
          f"{m['load_after']:.1f} after; {os.path.relpath(path)}")
