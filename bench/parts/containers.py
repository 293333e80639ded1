# SPDX-License-Identifier: Apache-2.0
"""Containers as an engine drives them, for the parts that measure that: runtimes, a bundle each, and what is left behind.

Whoever imports this is a subreaper from then on, as an engine's shim is: what stands for a container on the host becomes its
child when `create` returns, and a process that a runtime forgets can't hide from it.
"""
import ctypes, glob, json, os, shutil, subprocess, tempfile

import common

spawn = os.path.join(common.out, "spawn")
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER


class Runtime:
    """A runtime with a bundle: the busybox root as a directory, or (ours alone) as an image file."""

    def __init__(self, name, what, program, flags=(), image=False):
        self.name, self.what, self.image, self.flags = name, what, image, list(flags)
        self.program = shutil.which(program, path=common.env["PATH"])
        self.absent = None if self.program else f"{program} is not on PATH"
        self.ours = os.path.basename(program) == "sentrybox"
        self.bundle = self.state = self.version = None

    def prepare(self, work, root, argv, cgroups):
        self.state, self.bundle = os.path.join(work, f"state-{self.name}"), os.path.join(work, f"bundle-{self.name}")
        os.mkdir(self.bundle)
        if self.image:
            image = os.path.join(work, "root.erofs")
            r = subprocess.run([self.program, "image", "build", root, image], capture_output=True, text=True)
            if r.returncode != 0:
                self.absent = f"no image: {r.stderr.strip()}"
                return
            root = image
        # A cgroup of its own, as engines ask for: the runtimes make them by default, or don't.
        config = {
            "ociVersion": "1.0.2", "root": {"path": root, "readonly": True}, "hostname": "bench",
            "process": {"args": argv, "cwd": "/", "user": {"uid": 0, "gid": 0}, "noNewPrivileges": True,
                        "env": ["PATH=/bin:/sbin:/usr/bin:/usr/sbin"]},
            "mounts": [{"destination": "/proc", "type": "proc", "source": "proc"},
                       {"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"]},
                       {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["mode=1777"]}],
            "linux": {"namespaces": [{"type": t} for t in ("pid", "mount", "network", "ipc", "uts")]}}
        self.config, self.cgroups = config, cgroups

    def configure(self, id):
        if self.cgroups:
            self.config["linux"]["cgroupsPath"] = f"{self.cgroups}/{id}"
        with open(os.path.join(self.bundle, "config.json"), "w") as f:
            json.dump(self.config, f)

    def command(self, verb, *args):
        return [self.program, *self.flags, "--root", self.state, verb, *args]

    def create(self, id, pid_file):
        return self.command("create", "--bundle", self.bundle, "--pid-file", pid_file, id)


def known():
    return [Runtime("sentrybox", "sentrybox, the root a directory", common.box),
            Runtime("image", "sentrybox, the root an image file", common.box, image=True),
            Runtime("crun", "crun: a container", "crun", ["--cgroup-manager", "cgroupfs"]),
            Runtime("runc", "runc: a container", "runc")]


def busybox():
    """The root that tests/lib/mkroot makes; made if it isn't there."""
    root = os.path.join(common.build, "roots", "busybox")
    if not os.path.isdir(root):
        subprocess.run([os.path.join(common.top, "tests/lib/mkroot"), "busybox"], check=True, stdout=subprocess.DEVNULL)
    return os.path.realpath(root)


def workspace():
    return tempfile.TemporaryDirectory(prefix="sentrybox-lifecycle-")


def timed(command):
    """(ms, KiB at most, status, what it said)."""
    with tempfile.TemporaryFile() as said:
        r = subprocess.run([spawn, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, text=True,
                           env=common.env, cwd="/", timeout=120)
        said.seek(0)
        text = common.last_line(said.read())
    if r.returncode != 0:
        raise OSError(f"{os.path.relpath(spawn)} can't run {command[0]}")
    ns, kib, status = (int(x) for x in r.stdout.split())
    return ns / 1e6, kib, status, text


def need_spawn():
    """Built by make; by itself if only this is run."""
    source = os.path.join(common.top, "bench/spawn/spawn.c")
    if not os.path.exists(spawn) or os.path.getmtime(spawn) < os.path.getmtime(source):
        os.makedirs(os.path.dirname(spawn), exist_ok=True)
        subprocess.run(["gcc", "-std=gnu17", "-O2", "-static", "-o", spawn, source], check=True)


# ---- what is there ----

def below(pid):
    """All processes that came of this one, dead ones that nobody waited for too."""
    found = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children") as f:
                for c in f.read().split():
                    found += [int(c), *below(int(c))]
    except OSError:
        pass
    return found


def name_of(pid):
    try:
        with open(f"/proc/{pid}/comm") as f:
            return f.read().strip()
    except OSError:
        return ""


def pss(pid):
    """KiB, each shared page divided among those that share it."""
    try:
        with open(f"/proc/{pid}/smaps_rollup") as f:
            return sum(int(line.split()[1]) for line in f if line.startswith("Pss:"))
    except OSError:
        return 0


def reap():
    """Those that ended and are ours to wait for; their number."""
    n = 0
    try:
        while os.waitpid(-1, os.WNOHANG)[0] > 0:
            n += 1
    except ChildProcessError:
        pass
    return n


def cgroups_named(path):
    """Directories of this path in any hierarchy, and all below them."""
    found = []
    with open("/proc/self/mounts") as f:
        mounts = {line.split()[1] for line in f if line.split()[2] in ("cgroup", "cgroup2")}
    for mount in mounts:
        for top in glob.glob(f"{mount}{path}*"):
            found += [d for d, _, _ in os.walk(top)]
    return sorted(found)


def drop_cgroups(path):
    """What a runtime leaves of the parents that it has made."""
    for d in reversed(cgroups_named(path)):
        try:
            os.rmdir(d)
        except OSError:
            pass
