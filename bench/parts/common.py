# SPDX-License-Identifier: Apache-2.0
"""What the parts of the benchmark share: where things are, the ways to run a program, figures.

A *method* turns a program's command line into one that runs it natively, in a sandbox of ours, or in another maker's; and
has a directory in which the program may write there. Natively that directory is on a tmpfs, because in a sandbox files are
in memory too: a disk on one side would flatter the other.
"""
import json, math, os, re, shutil, signal, statistics, subprocess, sys, tempfile, time

top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
build = os.environ.get("BENCH_BUILD") or os.path.join(top, "build")
box, stopwatch = os.path.join(build, "sentrybox"), os.path.join(build, "sentrybox-bench")
out = os.path.join(build, "bench")
# The same few variables everywhere; LC_ALL is among those a sandbox passes on.
env = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C"}


def say(what):
    """Where a long run is."""
    print(f"bench: {what} ...", file=sys.stderr, flush=True)


# ---- methods ----

class Method:
    """kind: host (a new directory on a tmpfs), sandbox (/tmp is in memory there), shm (/dev/shm is), bundle (so in a
    container, whose root is this machine's)."""

    def __init__(self, name, kind, what, prefix, program=None):
        self.name, self.kind, self.what, self.prefix, self.program = name, kind, what, prefix, program
        self.absent = self.version = self.bundle = self.made = None
        self.count = 0
        self.work = {"sandbox": "/tmp/sentrybox-bench", "shm": "/dev/shm/sentrybox-bench",
                     "bundle": "/dev/shm/sentrybox-bench"}.get(kind)

    def command(self, argv):
        if self.kind != "bundle":
            return [*self.prefix, *argv]
        self.configure(argv)
        return self.again()

    def again(self):
        """For a bundle: another container with the same configuration."""
        self.count += 1
        return [*self.prefix, self.bundle, f"sentrybox-bench-{os.getpid()}-{self.name}-{self.count}"]

    def configure(self, argv):
        config = {
            "ociVersion": "1.0.2", "root": {"path": "rootfs", "readonly": True},
            "process": {"args": argv, "cwd": "/", "user": {"uid": 0, "gid": 0}, "noNewPrivileges": True,
                        "env": [f"{k}={v}" for k, v in env.items()]},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                       {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
                       {"destination": "/dev/shm", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]}],
            "linux": {"namespaces": [{"type": t} for t in ("pid", "mount", "network", "ipc", "uts")]}}
        with open(os.path.join(self.bundle, "config.json"), "w") as f:
            json.dump(config, f)


def help_of_do():
    try:
        return subprocess.run([box, "help", "do"], capture_output=True, text=True).stdout
    except OSError:
        sys.exit(f"bench: {os.path.relpath(box)} is missing: run make")


def known_methods():
    gate = "--gate" in help_of_do()
    off = ["--gate", "off"] if gate else []
    do = [box, "do", "--platform"]
    runsc = lambda platform: ["runsc", "--network=none", f"--platform={platform}", "do"]
    found = [
        Method("native", "host", "no sandbox, files on a tmpfs", []),
        Method("gate", "sandbox", "sentrybox, hot calls over shared memory", [*do, "notify", "--gate", "on", "--"]),
        Method("notify", "sandbox", "sentrybox, every call a seccomp notification", [*do, "notify", *off, "--"]),
        Method("ptrace", "sandbox", "sentrybox, every call a ptrace stop", [*do, "ptrace", *off, "--"]),
        Method("runsc", "sandbox", "gVisor, its default platform, systrap", runsc("systrap"), "runsc"),
        Method("runsc-kvm", "sandbox", "gVisor on KVM", runsc("kvm"), "runsc"),
        Method("runsc-ptrace", "sandbox", "gVisor by ptrace", runsc("ptrace"), "runsc"),
        Method("proot", "host", "proot: paths translated by ptrace, no sandbox", ["proot"], "proot"),
        Method("bwrap", "shm", "bubblewrap: namespaces", [
            "bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/dev/shm", "--unshare-pid",
            "--unshare-net", "--"], "bwrap"),
        Method("crun", "bundle", "crun: a container", ["crun", "run", "--bundle"], "crun"),
        Method("runc", "bundle", "runc: a container", ["runc", "run", "--bundle"], "runc")]
    for m in found:
        if m.name == "gate" and not gate:
            m.absent = "this build's do has no --gate"
    return found


def own_mounts():
    """Executes this program again in a mount namespace of its own, where bundles may be mounted; as root only. Container
    engines refuse a hybrid cgroup hierarchy: its second mount goes."""
    if os.geteuid() != 0 or not shutil.which("unshare"):
        return False
    if os.environ.get("BENCH_OWN_MOUNTS") != "1":
        os.environ["BENCH_OWN_MOUNTS"] = "1"
        if subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode != 0:
            return False
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable, *sys.argv])
    if os.path.ismount("/sys/fs/cgroup/unified"):
        subprocess.run(["umount", "/sys/fs/cgroup/unified"], capture_output=True)
    return True


def make_bundle(m, mounts):
    """A directory whose rootfs shows "/" read-only. It is never removed recursively."""
    if not mounts:
        m.absent = "needs root and a mount namespace here"
        return
    m.bundle = tempfile.mkdtemp(prefix="sentrybox-bundle-")
    root = os.path.join(m.bundle, "rootfs")
    os.mkdir(root)
    for command in (["mount", "--bind", "/", root], ["mount", "-o", "remount,bind,ro", root]):
        if subprocess.run(command, capture_output=True).returncode != 0:
            m.absent = f"can't show / at {root}"


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


def version_of(program):
    try:
        r = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"^.*?([\w-]*\s(?:version )?v?\d[\w.+~-]*)", r.stdout + r.stderr, re.M)
    return found[1].strip() if found else None


def prepare(names, need=512 << 20):
    """The methods of these names, or all; each that can't be used here says why in .absent. Native is first."""
    mounts = own_mounts()
    chosen = []
    for m in known_methods():
        if names is not None and m.name not in names:
            continue
        chosen.append(m)
        if m.program and not shutil.which(m.program, path=env["PATH"]):
            m.absent = f"{m.program} is not on PATH"
        if m.absent:
            continue
        if m.program:
            m.version = version_of(m.program)
        if m.kind == "bundle":
            make_bundle(m, mounts)
        elif m.kind == "host":
            m.made = tmpfs(need)
            if not m.made:
                m.made = tempfile.mkdtemp(prefix="sentrybox-bench-")
                print(f"bench: no tmpfs with {need >> 20} MiB free to run programs on: {m.name} writes to {m.made} and is "
                      "slower than it should be (BENCH_TMPFS names another)", file=sys.stderr)
            m.work = os.path.join(m.made, "work")
        if m.absent:
            continue
        try:
            _, status, _, stderr = run(m.command(["/bin/true"]), 60)
            if status != 0:
                m.absent = f"can't run /bin/true here: status {status}: {last_line(stderr)}"
        except (subprocess.TimeoutExpired, OSError) as e:
            m.absent = f"can't run /bin/true here: {e}"
    return chosen


def finish(methods):
    for m in methods:
        if m.made:
            shutil.rmtree(m.made, ignore_errors=True)
        if m.bundle:  # step by step: what is mounted there is this machine's root
            root = os.path.join(m.bundle, "rootfs")
            subprocess.run(["umount", root], capture_output=True)
            for undo, path in ((os.unlink, os.path.join(m.bundle, "config.json")), (os.rmdir, root), (os.rmdir, m.bundle)):
                try:
                    undo(path)
                except OSError:
                    pass


def present(methods):
    return [m for m in methods if not m.absent]


def turned(methods, r):
    """In another order each round, so that a busy minute hits all of them."""
    k = r % len(methods)
    return methods[k:] + methods[:k]


# ---- running ----

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


def last_line(stderr):
    lines = stderr.decode(errors="replace").strip().splitlines()
    return lines[-1][-300:] if lines else ""


# ---- figures ----

def spread(values):
    """Half the distance between the quartiles, as a share of the median: how much to trust that median."""
    if len(values) < 3:  # no quartiles: half the distance of the two
        return (max(values) - min(values)) / 2 / statistics.median(values) if any(values) else 0.0
    q = statistics.quantiles(values, n=4, method="inclusive")
    return (q[2] - q[0]) / 2 / q[1] if q[1] else 0.0


def figures(values, base=None):
    """What is kept of some times or rates; base is native's."""
    f = {"median": round(statistics.median(values), 4), "min": round(min(values), 4), "max": round(max(values), 4),
         "spread": round(spread(values), 4), "values": [round(v, 4) for v in values]}
    if base:
        f["ratio"] = round(statistics.median(values) / statistics.median(base), 4)
    return f


def geometric_mean(ratios):
    return math.exp(statistics.fmean(math.log(r) for r in ratios))


def machine():
    with open("/proc/cpuinfo") as f:
        cpu = next((line.split(":", 1)[1].strip() for line in f if line.startswith("model name")), "unknown")
    with open("/proc/meminfo") as f:
        memory = int(f.readline().split()[1]) >> 10
    git = subprocess.run(["git", "-C", top, "describe", "--always", "--dirty"], capture_output=True, text=True) \
        if shutil.which("git") else None
    return {"when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "kernel": os.uname().release, "cpu": cpu,
            "cpus": len(os.sched_getaffinity(0)), "memory_mib": memory, "load_before": round(os.getloadavg()[0], 2),
            "commit": git.stdout.strip() if git and git.returncode == 0 else None}
