# SPDX-License-Identifier: Apache-2.0
"""What the tests of containers' lives have in common (tests/e2e/lifecycle, lifecycle-engine): bundles, containers, and running the
tests of a file.

The process is a subreaper, as an engine's is: what stands for a container on the host becomes its child, and its wait status
is looked at. As root all runs again as nobody and under tests/lib/locked.
"""
import ctypes, fcntl, json, os, pwd, random, re, select, shutil, signal, socket, struct, subprocess, sys, tempfile, termios, threading, time

import expect_lib
from expect_lib import *

top = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
box = os.environ.get("SENTRYBOX") or os.path.join(top, "build", "sentrybox")
args = sys.argv[1:]
platform = args[args.index("--platform") + 1] if "--platform" in args else "notify"
as_part = os.environ.get("LIFECYCLE_PART")
pattern = args[-1] if args and not args[-1].startswith("-") and args[-1] != platform else ""
root = os.geteuid() == 0
results = {"passed": 0, "failed": 0}
tests = []
libc = ctypes.CDLL(None)
libc.prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
work = tempfile.TemporaryDirectory(prefix="sbx-lifecycle-")
state_root = os.path.join(work.name, "state")


def test(platforms=("notify", "ptrace")):
    def add(f):
        tests.append((f, platforms))
        return f
    return add


def call(*argv, globals=(), **kw):
    """Files, not pipes: what stays when the command returns has them, too."""
    kw.setdefault("stdin", subprocess.DEVNULL)
    kw.setdefault("timeout", PATIENCE)
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        r = subprocess.run([box, "--root", state_root, *globals, *argv], stdout=out, stderr=err, text=True, **kw)
        out.seek(0), err.seek(0)
        r.stdout, r.stderr = out.read(), err.read()
        return r


def ok(*argv, **kw):
    r = call(*argv, **kw)
    if r.returncode != 0 or r.stderr:
        raise Failed(f"{argv}: status {r.returncode}, {r.stderr!r}")
    return r.stdout


def refused(*argv, words, status=None, **kw):
    r = call(*argv, **kw)
    if r.returncode == 0 or (status is not None and r.returncode != status):
        raise Failed(f"{argv}: status {r.returncode}, {r.stdout!r} {r.stderr!r}")
    same(r.stderr.count("\n"), 1, f"lines of {r.stderr!r}")
    has(r.stderr, "sentrybox: ", *words)


def bundle(name, script, change=lambda c: None):
    d = os.path.join(work.name, "bundle-" + name)
    os.makedirs(d, exist_ok=True)
    config = {
        "ociVersion": "1.0.2",
        "process": {"args": ["/bin/sh", "-c", script], "cwd": "/", "env": ["PATH=/usr/bin:/bin", "WHO=container"],
                    "user": {"uid": 0, "gid": 0}, "capabilities": {}, "rlimits": []},
        "root": {"path": "/", "readonly": False},
        "annotations": {"dev.sentrybox.platform": platform, "a.b": "c"},
        "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                   {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs"}],
        "linux": {"namespaces": [{"type": "pid"}, {"type": "mount"}]},
    }
    change(config)
    with open(f"{d}/config.json", "w") as f:
        json.dump(config, f)
    return d


class Container:
    """create; the rest as the test likes; at the end it is gone, whatever happened."""
    count = 0

    def __init__(self, script="exec sleep 1000", change=lambda c: None, flags=(), start=True, stdout=subprocess.DEVNULL):
        Container.count += 1
        self.id = f"c{Container.count}"
        self.pid_file = os.path.join(work.name, self.id + ".pid")
        with tempfile.TemporaryFile("w+") as err:
            if stdout == subprocess.PIPE:
                self.out, stdout = os.pipe()
            r = subprocess.run([box, "--root", state_root, "create", "--bundle", bundle(self.id, script, change), "--pid-file",
                                self.pid_file, *flags, self.id], stdin=subprocess.DEVNULL, stdout=stdout,
                               stderr=stdout if hasattr(self, "out") else err, timeout=PATIENCE)
            if hasattr(self, "out"):
                os.close(stdout)
            err.seek(0)
            r.stderr = err.read()
        if r.returncode != 0:
            raise Failed(f"create: {r.returncode}, {r.stderr!r}")
        self.pid = int(open(self.pid_file).read())
        self.status = None
        if start:
            ok("start", self.id)

    def read(self):
        if not select.select([self.out], [], [], PATIENCE)[0]:
            raise Failed("it says nothing")
        return os.read(self.out, 100)

    def state(self):
        return json.loads(ok("state", self.id))["status"]

    def wait(self):
        """The wait status of what stands for it."""
        if self.status is None:
            end = time.time() + PATIENCE
            while True:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
                if pid:
                    self.status = status
                    break
                if time.time() > end:
                    raise Failed("it does not end")
                time.sleep(0.002)
        return self.status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        r = call("delete", "--force", self.id)
        if self.status is None:
            try:
                self.wait()
            except ChildProcessError:
                pass
        if hasattr(self, "out"):
            os.close(self.out)
        if r.returncode != 0 or r.stderr or os.path.exists(os.path.join(state_root, self.id)):
            raise Failed(f"delete --force: {r.returncode}, {r.stderr!r}, {os.listdir(state_root)}")


def comm(pid):
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except OSError:
        return ""


def children(pid):
    try:
        return [int(c) for t in os.listdir(f"/proc/{pid}/task") for c in open(f"/proc/{pid}/task/{t}/children").read().split()]
    except OSError:
        return []


def descendants(pid):
    return [d for c in children(pid) for d in [c] + descendants(c)]


def descriptors(pid):
    """{number: what it is}. One that is closed meanwhile is none."""
    found = {}
    for n in os.listdir(f"/proc/{pid}/fd"):
        try:
            found[n] = os.readlink(f"/proc/{pid}/fd/{n}")
        except FileNotFoundError:
            pass
    return found


def role(pid, name):
    return [p for p in [pid] + descendants(pid) if comm(p) == name][0]


def reap_strays():
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                return
        except ChildProcessError:
            return


def nothing_left():
    def alone():
        reap_strays()
        return descendants(os.getpid()) == []
    until(alone, f"no process left, not {[(p, comm(p)) for p in descendants(os.getpid())]}")


# ---- running them ----

def run_all(file):
    for f, platforms in tests:
        if platform not in platforms or pattern not in f.__name__:
            continue
        name = f.__name__ + (f" ({as_part})" if as_part else "")
        try:
            f()
        except Exception as e:
            results["failed"] += 1
            print(f"not ok {name}: {e if isinstance(e, Failed) else repr(e)}"[:1500])
            tb = e.__traceback__
            while tb and not (tb.tb_frame.f_code.co_filename == file and tb.tb_frame.f_code.co_name == f.__name__):
                tb = tb.tb_next
            print(f"    at line {tb.tb_lineno if tb else '?'}")
            for name in (os.listdir(state_root) if os.path.isdir(state_root) else []):
                call("delete", "--force", name)
            reap_strays()
        else:
            results["passed"] += 1
            print("ok", name)
        sys.stdout.flush()


def run_part(file, name, prefix):
    """The same file, as somebody else; what it runs must be where they can reach it."""
    with tempfile.TemporaryDirectory() as d:
        os.chmod(d, 0o755)
        for program in ("sentrybox", "sentrybox-core", "sentrybox-inspect"):
            if os.path.exists(os.path.join(os.path.dirname(box), program)):
                shutil.copy(os.path.join(os.path.dirname(box), program), d)
        for f in file, __file__, expect_lib.__file__:
            shutil.copy(f, d)
        env = dict(os.environ, LIFECYCLE_PART=name, SENTRYBOX=f"{d}/sentrybox", HOME="/tmp", TMPDIR="/tmp")
        p = subprocess.Popen([*prefix, "/usr/bin/python3", f"{d}/{os.path.basename(file)}", "--platform", platform, *([pattern] if pattern else [])],
                             stdout=subprocess.PIPE, text=True, env=env, cwd="/", stdin=subprocess.DEVNULL)
        count = None
        for line in p.stdout:  # as they come, so that whoever reads sees how long each takes
            if m := re.match(r"lifecycle.*: (\d+) passed, (\d+) failed", line):
                count = m
            else:
                print(line, end="", flush=True)
        p.wait()
        results["passed"] += int(count[1]) if count else 0
        results["failed"] += int(count[2]) if count else 1


def main(file):
    """Runs what the file has defined; the last line is the count."""
    run_all(file)
    if root and not as_part:
        run_part(file, "nobody", ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"])
        run_part(file, "locked", [os.path.join(top, "tests/lib/locked")])
    print(f"{os.path.basename(file)} ({platform}): {results['passed']} passed, {results['failed']} failed")
    sys.exit(1 if results["failed"] else 0)
