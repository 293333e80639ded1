# SPDX-License-Identifier: Apache-2.0
"""What the tests of pods have in common (tests/e2e/pods, pods-own): bundles, containers, and running the tests of a file.

The process is a subreaper, as an engine's shim is: what stands for each container on the host becomes its child, and its wait
status is looked at. As root all runs again as nobody and under tests/lib/locked.
"""
import ctypes, json, os, re, select, shutil, signal, socket, subprocess, sys, tempfile, threading, time

import expect_lib
from expect_lib import *

top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
box = os.environ.get("SENTRYBOX") or os.path.join(top, "build", "sentrybox")
args = sys.argv[1:]
platform = args[args.index("--platform") + 1] if "--platform" in args else "notify"
pattern = args[-1] if args and not args[-1].startswith("-") and args[-1] != platform else ""
results = {"passed": 0, "failed": 0}
tests = []
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
work = tempfile.TemporaryDirectory(prefix="sbx-pods-")
state_root = os.path.join(work.name, "state")
tree = os.environ.get("PODS_ROOT") or subprocess.run([f"{top}/tests/lib/mkroot", "busybox"], capture_output=True, text=True, check=True).stdout.strip()


def test(f):
    tests.append(f)
    return f


def call(*argv, **kw):
    """Files, not pipes: what stays when the command returns has them, too."""
    kw.setdefault("stdin", subprocess.DEVNULL)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        r = subprocess.run([box, "--root", state_root, *argv], stdout=out, stderr=err, text=True, timeout=PATIENCE, **kw)
        out.seek(0), err.seek(0)
        r.stdout, r.stderr = out.read(), err.read()
        return r


def ok(*argv, **kw):
    r = call(*argv, **kw)
    if r.returncode != 0 or r.stderr:
        raise Failed(f"{argv}: status {r.returncode}, {r.stderr!r}")
    return r.stdout


def refused(*argv, words):
    r = call(*argv)
    if r.returncode == 0:
        raise Failed(f"{argv}: status 0")
    same(r.stderr.count("\n"), 1, f"lines of {r.stderr!r}")
    has(r.stderr, "sentrybox: ", *words)


CAPS = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_KILL", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_SETUID"]


def bundle(name, script, change=lambda c: None):
    d = os.path.join(work.name, "bundle-" + name)
    os.makedirs(d, exist_ok=True)
    config = {
        "ociVersion": "1.0.2",
        "process": {"args": ["/bin/sh", "-c", script], "cwd": "/", "env": ["PATH=/usr/bin:/bin"], "user": {"uid": 0, "gid": 0},
                    "capabilities": {k: list(CAPS) for k in ("bounding", "effective", "permitted")}},
        "root": {"path": tree},
        "annotations": {"dev.sentrybox.platform": platform},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"}, {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"},
                   {"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}, {"destination": "/dev/pts", "type": "devpts", "source": "devpts"},
                   {"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup"}],
        "linux": {"namespaces": [{"type": t} for t in ("pid", "mount", "network", "ipc", "uts")]},
    }
    change(config)
    with open(f"{d}/config.json", "w") as f:
        json.dump(config, f)
    return d


def join(config, pid, pids_of=None):
    config["linux"]["namespaces"] = [{"type": "mount"}, {"type": "pid", **({"path": f"/proc/{pids_of}/ns/pid"} if pids_of else {})}] + [
        {"type": t, "path": f"/proc/{pid}/ns/{n}"} for t, n in (("network", "net"), ("ipc", "ipc"), ("uts", "uts"))]


class Container:
    """create; the rest as the test likes. out: what it wrote."""
    count = 0

    def __init__(self, script="exec sleep 1000", change=lambda c: None, flags=(), start=True, stdin=subprocess.DEVNULL):
        Container.count += 1
        self.id = f"c{Container.count}"
        self.pid_file = os.path.join(work.name, self.id + ".pid")
        self.out_file = os.path.join(work.name, self.id + ".out")
        with open(self.out_file, "w") as out, tempfile.TemporaryFile("w+") as err:
            r = subprocess.run([box, "--root", state_root, "create", "--bundle", bundle(self.id, script, change), "--pid-file", self.pid_file,
                                *flags, self.id], stdin=stdin, stdout=out, stderr=err, timeout=PATIENCE)
            err.seek(0)
            r.stderr = err.read()
        if r.returncode != 0:
            raise Failed(f"create: {r.returncode}, {r.stderr!r}")
        self.pid = int(open(self.pid_file).read())
        self.status = None
        if start:
            ok("start", self.id)

    @property
    def out(self):
        return open(self.out_file).read()

    def says(self, text):
        until(lambda: text in self.out, f"{text!r} in {self.out!r}")

    def state(self):
        return json.loads(ok("state", self.id))["status"]

    def sh(self, script, *flags):
        r = call("exec", *flags, self.id, "sh", "-c", script)
        return r.stdout if r.returncode == 0 else f"{r.stdout}{r.stderr}[{r.returncode}]"

    def wait(self):
        """How what stands for it ended, as a shell says it."""
        if self.status is None:
            end = time.time() + PATIENCE
            while True:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid == self.pid:
                    break
                if time.time() > end:
                    raise Failed(f"{self.id} does not end")
                time.sleep(0.005)
            self.status = 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        return self.status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        ok("delete", "--force", self.id)
        self.wait()


class Pod(Container):
    def __init__(self, script="exec sleep 1000", change=lambda c: None, **kw):
        def named(c):
            c["hostname"] = "thepod"
            change(c)
        super().__init__(script, named, **kw)
        self.apps = []

    def app(self, script="exec sleep 1000", change=lambda c: None, pids_of=None, **kw):
        def joined(c):
            join(c, self.pid, pids_of)
            change(c)
        c = Container(script, joined, **kw)
        self.apps.append(c)
        return c

    def __exit__(self, *_):
        for c in self.apps:
            ok("delete", "--force", c.id)
            c.wait()
        super().__exit__()


def other_root(mark):
    """A copy of the root with a file of its own."""
    d = os.path.join(work.name, "root-" + mark)
    if not os.path.exists(d):
        os.makedirs(d)
        for name in os.listdir(tree):
            if name in ("bin", "usr", "sbin", "etc", "lib", "lib64", "linuxrc"):
                subprocess.run(["cp", "-a", f"{tree}/{name}", d], stderr=subprocess.DEVNULL)
        with open(f"{d}/mark", "w") as f:
            f.write(mark + "\n")
    return lambda c: c["root"].update(path=d)


def all_of(*changes):
    def change(c):
        for f in changes:
            f(c)
    return change


def program(name, source):
    """A directory with a static program of that name, and the change that mounts it at /made."""
    d = os.path.join(work.name, "programs")
    os.makedirs(d, exist_ok=True)
    with open(f"{d}/{name}.c", "w") as f:
        f.write(source)
    subprocess.run(["gcc", "-O1", "-static", "-pthread", "-o", f"{d}/{name}", f"{d}/{name}.c"], check=True)
    return lambda c: c["mounts"].append({"destination": "/made", "type": "bind", "source": d, "options": ["rbind", "ro"]})


def sentry_of(pod):
    return next(int(p) for p in open(f"/proc/{pod.pid}/task/{pod.pid}/children").read().split()
                if open(f"/proc/{p}/comm").read().strip() == "sbx-sentry")


# ---- running them ----

def run_part(file, name, prefix):
    """The same file, as somebody else; what it runs must be where they can reach it."""
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o755)
        for program in ("sentrybox", "sentrybox-core", "sentrybox-inspect"):
            if os.path.exists(os.path.join(os.path.dirname(box), program)):
                shutil.copy(os.path.join(os.path.dirname(box), program), d)
        shutil.copy(file, f"{d}/pods")
        for library in __file__, expect_lib.__file__:
            shutil.copy(library, d)
        subprocess.run(["cp", "-a", tree, f"{d}/root"], check=True)
        env = dict(os.environ, PODS_PART=name, PODS_ROOT=f"{d}/root", SENTRYBOX=f"{d}/sentrybox", HOME="/tmp", TMPDIR="/tmp")
        p = subprocess.Popen([*prefix, "/usr/bin/python3", f"{d}/pods", "--platform", platform, *([pattern] if pattern else [])],
                             stdout=subprocess.PIPE, text=True, env=env, cwd="/", stdin=subprocess.DEVNULL)
        m = None
        for line in p.stdout:  # as they come, so that whoever reads sees how long each takes
            if re.match(r"pods\S* \(", line):
                m = re.search(r"(\d+) passed, (\d+) failed", line)
            else:
                print(line, end="", flush=True)
        p.wait()
        results["passed"] += int(m[1]) if m else 0
        results["failed"] += int(m[2]) if m else 1


def main(file):
    """Runs what the file has defined; the last line is the count."""
    part = os.environ.get("PODS_PART")
    os.makedirs(state_root, mode=0o700, exist_ok=True)
    for f in tests:
        if pattern not in f.__name__:
            continue
        if platform == "ptrace" and f.__name__.startswith("pause_holds"):
            continue
        name = f.__name__ + (f" ({part})" if part else "")
        try:
            f()
        except Exception as e:
            results["failed"] += 1
            print(f"not ok {name}: {e if isinstance(e, Failed) else repr(e)}"[:1500])
            for left in call("list", "-q").stdout.split():
                call("delete", "--force", left)
        else:
            results["passed"] += 1
            print("ok", name)
        sys.stdout.flush()
    if os.geteuid() == 0 and not part:
        run_part(file, "nobody", ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"])
        run_part(file, "locked", [os.path.join(top, "tests/lib/locked")])
    print(f"{os.path.basename(file)} ({platform}): {results['passed']} passed, {results['failed']} failed")
    sys.exit(1 if results["failed"] else 0)
