# SPDX-License-Identifier: Apache-2.0
"""A part of tests/e2e/engines: containers whose ids are others than the host's (podman --uidmap, --userns, docker's userns-remap)."""
import os, shutil, subprocess

from __main__ import DOCKER, KEEP, PATIENCE, Running, as_a_user, ok, podman, run, runtime, same, test, until, user, work

IDS = "id -u; id -g; stat -c '%u:%g' / /etc/hosts /vol/ours /vol/theirs; cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '"


def volume(name, *owners):
    """A directory whose files have these owners on the host: ours, theirs."""
    d = f"{work}/{name}"
    os.makedirs(d)
    os.chmod(d, 0o777)
    for file, (uid, gid) in zip(("ours", "theirs"), owners):
        open(f"{d}/{file}", "w").close()
        os.chown(f"{d}/{file}", uid, gid)
    return d


def owner(path):
    st = os.lstat(path)
    return st.st_uid, st.st_gid


@test
def uidmap():
    d = volume("uidmap", (100007, 200008), (0, 0))
    flags = ["--uidmap", "0:100000:5000", "--gidmap", "0:200000:5000", "-v", f"{d}:/vol"]
    r = run("sh", "-c", IDS, flags=flags)
    same((r.returncode, r.stdout), (0, "0\n0\n0:0\n0:0\n7:8\n65534:65534\n 0 100000 5000\n 0 200000 5000\n"), r.stderr)
    r = run("sh", "-c", "echo x > /vol/new; mkdir /vol/dir; chown 3:4 /vol/new; ln -s x /vol/link; chown 5000 /vol/new; echo $?; chown 1 /vol/theirs; echo $?; "
            "chmod 666 /vol/theirs; echo $?; echo x > /vol/theirs; echo $?; stat -c %u:%g /vol/new /vol/dir", flags=flags)
    same((r.returncode, r.stdout), (0, "1\n1\n1\n1\n3:4\n0:0\n"), r.stderr)
    same([owner(f"{d}/{n}") for n in ("new", "dir", "link", "theirs")], [(100003, 200004), (100000, 200000), (100000, 200000), (0, 0)])
    same(run("-c", "touch /vol/by-7; id -u", flags=[*flags, "-u", "7:8", "--entrypoint", "sh"]).stdout, "7\n")
    same(owner(f"{d}/by-7"), (100007, 200008))
    # Nobody is such a user, or can become one.
    same(run("id", flags=[*flags, "-u", "5000"]).returncode != 0, True)
    same(run("sh", "-c", "setpriv --reuid 5000 true 2>/dev/null || echo no; su -s /bin/sh -c 'id -u' nobody 2>/dev/null || echo no", flags=flags).stdout, "no\nno\n")


@test
def uidmap_exec_and_layer():
    with Running("sleep 100", "--uidmap", "0:100000:5000"):
        same(ok("exec", "c", "stat", "-c", "%u:%g", "/bin"), "0:0\n")
        same(ok("exec", "-u", "7", "c", "id", "-u"), "7\n")
        same(podman("exec", "-u", "5000", "c", "id", "-u").returncode != 0, True)
    r = podman("run", "--name", "c", "--network", "none", "--uidmap", "0:100000:5000", *KEEP, "image", "sh", "-c", "mkdir /d; echo x > /d/made; chown 7:8 /d/made")
    try:
        same(r.returncode, 0, r.stderr)
        top = ok("mount", "c").strip()
        same((owner(f"{top}/d"), owner(f"{top}/d/made")), ((100000, 100000), (100007, 100008)))
        ok("umount", "c")
    finally:
        podman("rm", "-f", "-t", "0", "c")


@test
def user_namespace_of_another_container():
    with Running("sleep 100", "--uidmap", "0:100000:5000", "--gidmap", "0:200000:5000"):
        d = volume("joined", (100007, 200008), (0, 0))
        r = run("sh", "-c", IDS, flags=["--userns", "container:c", "-v", f"{d}:/vol"])
        same((r.returncode, r.stdout), (0, "0\n0\n0:0\n0:0\n7:8\n65534:65534\n 0 100000 5000\n 0 200000 5000\n"), r.stderr)


@test
def pod_with_a_user_namespace():
    ok("pod", "create", "--uidmap", "0:100000:5000", "--gidmap", "0:200000:5000", "--network", "none", "--infra-image", "image", "--infra-command", "sleep 100", "--name", "p")
    try:
        d = volume("pod", (100007, 200008), (0, 0))
        r = podman("run", "--rm", "--pod", "p", "-v", f"{d}:/vol", "image", "sh", "-c", IDS)
        same((r.returncode, r.stdout), (0, "0\n0\n0:0\n0:0\n7:8\n65534:65534\n 0 100000 5000\n 0 200000 5000\n"), r.stderr)
    finally:
        podman("pod", "rm", "-f", "-t", "0", "p")


# ---- by an ordinary user ----

@as_a_user
def rootless_keep_id():
    user.start()
    d = f"{user.home}/keep"
    os.makedirs(d)
    os.chown(d, user.uid, user.uid)
    flags = ["--rm", "--network", "none", "--userns=keep-id", "-v", f"{d}:/vol"]
    r = user("run", *flags, "image", "sh", "-c", "id -u; id -g; stat -c %u:%g / /vol /vol/..; echo x > /vol/mine; stat -c %u:%g /vol/mine; touch /no; echo $?")
    same((r.returncode, r.stdout), (0, f"{user.uid}\n{user.uid}\n0:0\n{user.uid}:{user.uid}\n0:0\n{user.uid}:{user.uid}\n1\n"), r.stderr)
    same(owner(f"{d}/mine"), (user.uid, user.uid))
    r = user("run", *flags, "-u", "0", "image", "sh", "-c", "id -u; echo x > /vol/roots; chown 5:6 /vol/roots; stat -c %u:%g /vol/roots /vol/mine; chown 0 /vol/mine; chown 70000 /vol/roots; echo $?")
    same((r.returncode, r.stdout), (0, f"0\n5:6\n{user.uid}:{user.uid}\n1\n"), r.stderr)
    same((owner(f"{d}/roots"), owner(f"{d}/mine")[0]), ((300005, 300006), 300000))


@as_a_user
def rootless_keep_id_layer():
    r = user("run", "--name", "u", "--network", "none", "--userns=keep-id", *KEEP, "-u", "0", "image", "sh", "-c", f"mkdir /d; echo x > /d/made; chown {user.uid}:7 /d/made")
    try:
        same(r.returncode, 0, r.stderr)
        same(user("commit", "-q", "u", "kept").returncode, 0)
        same(user("run", "--rm", "--network", "none", "kept", "stat", "-c", "%u:%g", "/d", "/d/made").stdout, f"0:0\n{user.uid}:7\n")
    finally:
        user("rm", "-f", "-t", "0", "u")


@as_a_user
def rootless_other_maps():
    user.start()
    d = f"{user.home}/maps"
    os.makedirs(d)
    os.chown(d, user.uid, user.uid)
    vol = ["--rm", "--network", "none", "-v", f"{d}:/vol"]
    r = user("run", *vol, "--userns=auto", "image", "sh", "-c", "id -u; stat -c %u:%g / /vol; touch /vol/x; echo $?")
    same((r.returncode, r.stdout), (0, "0\n0:0\n65534:65534\n1\n"), r.stderr)
    ids = [f"--{k}map={v}" for k in ("uid", "gid") for v in ("0:1:1000", "1000:0:1")]
    r = user("run", *vol, *ids, "-u", "1000:1000", "image", "sh", "-c", "id -u; stat -c %u:%g / /vol; touch /vol/x; stat -c %u:%g /vol/x")
    same((r.returncode, r.stdout), (0, "1000\n0:0\n1000:1000\n1000:1000\n"), r.stderr)
    same(owner(f"{d}/x"), (user.uid, user.uid))


@as_a_user
def docker_userns_remap():
    if not shutil.which("dockerd") or not os.path.exists(DOCKER[0]):
        return
    user.start()  # its range of ids
    at = ["-H", "unix:///run/docker-remap.sock"]
    with open(f"{work}/remap.json", "w") as f:
        f.write("{}")
    daemon = subprocess.Popen(["dockerd", "--config-file", f"{work}/remap.json", "--data-root", f"{work}/docker-remap", "--exec-root", "/run/docker-remap", "--pidfile",
                               "/run/docker-remap.pid", *at, "--bridge=none", "--iptables=false", f"--userns-remap={user.name}", "--add-runtime", f"tried={runtime}"],
                              stdout=open(f"{work}/docker-remap.log", "w"), stderr=subprocess.STDOUT)
    try:
        def remap(*args):
            return subprocess.run([DOCKER[0], *at, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE)
        until(lambda: remap("version").returncode == 0, "dockerd is there")
        r = remap("import", f"{work}/image.tar", "image")
        same(r.returncode, 0, r.stderr)
        d = volume("remap", (300007, 300008), (0, 0))
        r = remap("run", "--rm", "--runtime", "tried", "--network", "none", "-v", f"{d}:/vol", "image", "sh", "-c", IDS + "; echo x > /vol/new; chown 3:4 /vol/new")
        same((r.returncode, r.stdout), (0, "0\n0\n0:0\n0:0\n7:8\n65534:65534\n 0 300000 65536\n 0 300000 65536\n"), r.stderr)
        same(owner(f"{d}/new"), (300003, 300004))
    finally:
        daemon.terminate()
        daemon.wait()
