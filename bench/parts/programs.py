# SPDX-License-Identifier: Apache-2.0
"""Real programs, natively and in sandboxes.

Each round runs each program by each method, one after another; the order of methods turns from round to round. A figure is
the median of the rounds, a ratio is to native in the same run. A row's figure is timed inside, from sh's exec to its end: a
sandbox's start is a part of its own, and peers' figures don't have it in them either. The same run from outside, the sandbox's
start and end included, is "whole"; rows that need something made first (a tree to remove) have none. A few rows have a rate,
which their program measures.

A first round, not counted, warms caches and also prints what the program made (checksums of its files, ...). There and in
all counted rounds status and stdout must be as natively; where they are not there is no figure.
"""
import io, json, os, re, shlex, shutil, socket, subprocess, sys, tarfile

import common

ROUNDS, QUICK_ROUNDS = 5, 2
LIMIT = 300  # seconds for one run of one program
MARK = b"-- what it made --\n"
AIM_MEAN, AIM_WORST, AIM_RATE = 1.15, 1.5, 0.9
tree = "/usr/include"


class App:
    """run: a shell script that starts in an empty directory, with what make_inputs() made in $IN. before: what has to be done
    first, and isn't timed. check: prints what was made. rate: finds the program's own figure in its stdout; more is better.
    quick: also with --quick."""

    def __init__(self, name, needs, what, run, check="", before=None, rate=None, control=False, aim=None, quick=True):
        self.name, self.needs, self.what, self.run, self.check = name, needs.split(), what, run, check
        self.before, self.rate, self.control, self.aim, self.quick = before, rate, control, aim, quick


# find's order is the directories', which no one promises; so is readdir's in a checked-out tree.
LISTING = ("find . -path ./.npm -prune -o -printf '%y %m %s %p %l\\n' | grep -v '^d.* \\. $' | "
           "sed 's/^d \\([0-7]*\\) [0-9]*/d \\1/' | sort | cksum; "
           "find . -path ./.npm -prune -o -type f -print0 | sort -z | xargs -0 cat | cksum")
PYTHON = "/usr/bin/python3"


def redis(name, what, connection, flags, server, requests, quick=False):
    return App(
        name, "redis-server redis-benchmark redis-cli", what,
        f"redis-server --save '' --appendonly no --bind 127.0.0.1 {server} >server.log 2>&1 &\n"
        f"i=0; until redis-cli {connection} ping >/dev/null 2>&1; do i=$((i + 1)); [ $i -lt 500 ] || exit 9; sleep 0.02; done\n"
        f"redis-benchmark {connection} -t get -n {requests} -c 20 --csv {flags}\n"
        f"redis-cli {connection} shutdown nosave >/dev/null 2>&1; wait",
        rate=r'"GET[^"]*","([0-9.]+)"', aim=AIM_RATE, quick=quick)


def all_apps(port):
    return [
        App("sh-true", "sh", "sh: 20 times /bin/true",
            "i=0; while [ $i -lt 20 ]; do /bin/true; i=$((i + 1)); done; echo $i"),
        App("python-start", PYTHON, "python3: start, imports",
            f"{PYTHON} -c 'import json, ssl, sqlite3, asyncio, subprocess, http.client; print(json.dumps([1]))'"),
        App("python-script", PYTHON, "python3: a script: JSON, regular expressions, sorting",
            f"{PYTHON} \"$IN\"/script.py", quick=False),
        App("python-files", PYTHON, "python3: 3,000 files written, stat, read, unlinked",
            f"{PYTHON} \"$IN\"/files.py"),
        App("git-clone", "git", "git clone of 300 files, status",
            "git clone -q \"file://$IN/repo.git\" c && cd c && git status --short && git log --oneline | wc -l",
            "cd c 2>/dev/null; git rev-parse HEAD; git ls-files -s | cksum; git fsck 2>&1", quick=False),
        App("git-commit", "git", "git init, 50 files, add, commit, status",
            "git init -q -b main . && mkdir d && i=0 && while [ $i -lt 50 ]; do echo line $i >d/$i; i=$((i + 1)); done && "
            "git add . && git commit -q -m one && git status --short && echo done",
            "git rev-parse HEAD; git ls-files | wc -l"),
        App("tar-c", "tar", f"tar c of {tree}", f"tar cf a.tar -C {tree} .", "cksum <a.tar", quick=False),
        App("tar-x", "tar", "tar x of it", "tar xf \"$IN\"/include.tar",
            LISTING + "; find . -type f -printf '%T@ %p\\n' | sort | cksum"),
        App("find", "find", "find over it", f"find {tree} -name '*.h' | wc -l", f"find {tree} | sort | cksum"),
        App("grep", "grep", "grep -r over it", f"grep -r EINTR {tree} | wc -l", f"grep -r EINTR {tree} | sort | cksum"),
        App("rm", "rm tar", "rm -r of it, in memory", "rm -r t && ls", before="mkdir t && tar xf \"$IN\"/include.tar -C t"),
        App("gcc", "gcc", "gcc -O2 of a small file", "gcc -O2 \"$IN\"/small.c -o small && ./small",
            "gcc -O2 -c \"$IN\"/small.c -o small.o && cksum <small.o"),
        App("gcc-build", "gcc make", "make: 8 files by gcc, linked, run",
            "cp \"$IN\"/build/* . && make -s && ./program", "make -s clean && make -s && ./program", quick=False),
        App("node-start", "node", "node -e",
            "node -e 'console.log(Object.keys(require(\"http\").STATUS_CODES).length, "
            "require(\"fs\").readdirSync(\".\").length)'"),
        App("npm-install", "npm node", "npm install of 12 local tarballs",
            "cp \"$IN\"/package.json . && npm install --offline --no-audit --no-fund --no-update-notifier --silent && "
            "node -e 'console.log(require(\"bench-0\") + require(\"bench-11\"))'",
            "find node_modules -type f | sort | cksum", quick=False),
        App("sqlite-rows", "sqlite3", "sqlite3: 20,000 rows and an index", "sqlite3 t.db <\"$IN\"/rows.sql",
            "sqlite3 t.db 'pragma integrity_check; select sum(length(s)), sum(n) from t' | cksum", quick=False),
        App("sqlite-commits", "sqlite3", "sqlite3: 200 transactions", "sqlite3 t.db <\"$IN\"/commits.sql",
            "sqlite3 t.db 'pragma integrity_check; select sum(length(s)), sum(n) from t' | cksum"),
        App("sort", "sort", "sort -n of 200,000 lines", "sort -n -S 64M --parallel=1 \"$IN\"/numbers >s && wc -l <s",
            "cksum <s", quick=False),
        App("dd", "dd", "dd: 64 MiB by 64 KiB", "dd if=/dev/zero of=x bs=65536 count=1024 2>/dev/null", "cksum <x",
            quick=False),
        redis("redis-tcp", "redis-benchmark GET over TCP, requests/s", f"-h 127.0.0.1 -p {port}", "",
              f"--port {port}", 10000, quick=True),
        redis("redis-unix", "redis-benchmark GET over a unix socket, requests/s", "-s \"$PWD/redis.sock\"", "",
              f"--port 0 --unixsocket \"$PWD/redis.sock\"", 10000),
        redis("redis-pipelined", "redis-benchmark GET over TCP, 16 in a pipeline, requests/s", f"-h 127.0.0.1 -p {port}",
              "-P 16", f"--port {port}", 100000),
        App("openssl-speed", "openssl", "openssl speed sha256, KB/s (control: computes only)",
            "openssl speed -elapsed -seconds 1 -bytes 8192 sha256 2>/dev/null", rate=r"(?m)^sha256\s+([0-9.]+)k",
            control=True),
    ]


# ---- inputs ----

def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as f:
        f.write(text)


GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b",
       "GIT_AUTHOR_DATE": "1700000000 +0000", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
       "GIT_COMMITTER_DATE": "1700000000 +0000", "GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory",
       "GIT_CONFIG_VALUE_0": "*"}


def make_repository(where):
    work = os.path.join(where, "repo")
    for i in range(300):
        write(f"{work}/d{i % 17}/file{i}.txt", f"file {i}\n" * (i % 90 + 10))
    for command in (["init", "-q", "-b", "main", "."], ["add", "."], ["commit", "-q", "-m", "one"],
                    ["clone", "-q", "--bare", ".", f"{where}/repo.git"]):
        subprocess.run(["git", *command], cwd=work, env={**common.env, **GIT}, check=True)
    shutil.rmtree(work)


def make_tarballs(where):
    names = [f"bench-{i}" for i in range(12)]
    for n, name in enumerate(names):
        with tarfile.open(f"{where}/{name}.tgz", "w:gz") as tar:
            files = {"package.json": json.dumps({"name": name, "version": "1.0.0", "main": "index.js"}),
                     "index.js": f"module.exports = {n + 1};\n"}
            files.update({f"lib/part{i}.js": f"exports.part{i} = '{name}';\n" * 20 for i in range(25)})
            for path, text in files.items():
                info = tarfile.TarInfo(f"package/{path}")
                info.size, info.mode, info.mtime = len(text), 0o644, 1700000000
                tar.addfile(info, io.BytesIO(text.encode()))
    write(f"{where}/package.json", json.dumps({
        "name": "bench", "version": "1.0.0", "private": True,
        "dependencies": {name: f"file:{where}/{name}.tgz" for name in names}}))


def make_inputs(where):
    os.makedirs(where)
    write(f"{where}/files.py", "import os\n"
          "for i in range(3000):\n\twith open(f'f{i}', 'w') as f:\n\t\tf.write('x' * (i % 100 + 1))\n"
          "total = sum(os.stat(f'f{i}').st_size for i in range(3000))\n"
          "for i in range(3000):\n\twith open(f'f{i}') as f:\n\t\ttotal += len(f.read())\n"
          "for i in range(3000):\n\tos.unlink(f'f{i}')\n"
          "print(total, os.listdir('.'))\n")
    write(f"{where}/script.py", "import collections, json, re\n"
          "rows = [{'id': i, 'name': f'row {i * 7919 % 10007}', 'tags': [str(i % 7), str(i % 11)]} for i in range(8000)]\n"
          "rows = json.loads(json.dumps(rows))\n"
          "rows.sort(key=lambda r: (len(r['name']), r['name']))\n"
          "words = collections.Counter(w for r in rows for w in re.findall(r'\\w+', r['name']))\n"
          "total = 0\nfor i in range(400000):\n\ttotal = (total * 31 + i) % 1000003\n"
          "print(len(rows), words.most_common(1), total)\n")
    write(f"{where}/small.c", "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n"
          "static int cmp(const void *a, const void *b)\n{\n\treturn strcmp(a, b);\n}\n"
          "int main(void)\n{\n\tstatic char w[64][8];\n\tunsigned h = 1;\n\tfor (int i = 0; i < 64; i++)\n"
          "\t\tsnprintf(w[i], 8, \"%u\", (h = h * 1103515245u + 12345u) >> 12 & 0xfffff);\n"
          "\tqsort(w, 64, 8, cmp);\n\tprintf(\"%s %s\\n\", w[0], w[63]);\n\treturn 0;\n}\n")
    parts = range(8)
    for i in parts:
        write(f"{where}/build/part{i}.c", "#include <stdio.h>\n#include <string.h>\n"
              f"unsigned part{i}(unsigned n)\n{{\n\tchar b[64];\n\tunsigned s = {i};\n\tfor (unsigned k = 0; k < n; k++) {{\n"
              "\t\tsnprintf(b, sizeof(b), \"%u\", k * s);\n\t\ts = s * 31 + (unsigned)strlen(b);\n\t}\n\treturn s;\n}\n")
    write(f"{where}/build/main.c", "#include <stdio.h>\n" + "".join(f"unsigned part{i}(unsigned n);\n" for i in parts) +
          "int main(void)\n{\n\tprintf(\"%u\\n\", " + " ^ ".join(f"part{i}(100)" for i in parts) + ");\n\treturn 0;\n}\n")
    objects = "main.o " + " ".join(f"part{i}.o" for i in parts)
    write(f"{where}/build/Makefile", f"program: {objects}\n\tgcc -o $@ {objects}\n%.o: %.c\n\tgcc -O2 -c $<\n"
          f"clean:\n\trm -f program {objects}\n")
    rows = ("create table t(id integer primary key, n int, s text);\nbegin;\n"
            "insert into t(n, s) with recursive c(x) as (select 1 union all select x + 1 from c where x < %d) "
            "select x * 7919 %% 20011, 'row ' || x from c;\ncreate index i on t(n);\ncommit;\n")
    count = "select count(*), sum(n), sum(length(s)) from t;\n"
    write(f"{where}/rows.sql", rows % 20000 + count)
    write(f"{where}/commits.sql", rows % 2000 + "".join(
        f"begin; update t set s = s || '!' where n = {i * 97 * 7919 % 20011}; commit;\n" for i in range(200)) + count)
    write(f"{where}/numbers", "".join(f"{i * 7919 % 200003}\n" for i in range(200000)))
    if shutil.which("git"):
        make_repository(where)
    make_tarballs(where)
    if shutil.which("tar") and os.path.isdir(tree):
        subprocess.run(["tar", "cf", f"{where}/include.tar", "-C", tree, "."], check=True)


# ---- running ----

def script_of(app, method, inputs, check):
    """What sh executes. A directory of the host is emptied beforehand: that isn't native's cost."""
    variables = {"IN": inputs, "TMPDIR": method.work, "HOME": method.work, "npm_config_cache": f"{method.work}/.npm", **GIT}
    lines = [f"mkdir -p {method.work} && cd {method.work} || exit 99",
             "export " + " ".join(f"{k}={shlex.quote(v)}" for k, v in variables.items())]
    if app.before is not None:
        lines.append(app.before + " || exit 98")
    lines.append(app.run if app.rate else f"{common.stopwatch} time /bin/sh -c {shlex.quote(app.run)}")
    if check:
        lines += ["status=$?", f"echo '{MARK.decode().strip()}'", app.check, "exit $status"]
    return "\n".join(lines)


def once(app, method, inputs, check):
    """((figure, whole or None), status, stdout, what went wrong)."""
    if method.kind == "host":
        shutil.rmtree(method.work, ignore_errors=True)
    try:
        ms, status, stdout, stderr = common.run(
            method.command(["/bin/sh", "-c", script_of(app, method, inputs, check)]), LIMIT)
    except subprocess.TimeoutExpired:
        return None, None, b"", f"no end after {LIMIT} s"
    whole = ms if app.before is None and not app.rate else None
    if app.rate:
        found = re.search(app.rate, stdout.decode(errors="replace"))
        stdout = b"" if found else stdout
    else:
        found = re.search(r"^@ms ([0-9.]+)$", stderr.decode(errors="replace"), re.M)
    if not found and status == 0:
        return None, None, stdout, f"no figure: {(stdout + stderr)[-300:].decode(errors='replace').strip()}"
    return (float(found[1]) if found else None, whole), status, stdout, common.last_line(stderr)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class Run:
    def __init__(self, methods, inputs, rounds, only):
        self.methods, self.inputs, self.rounds, self.only = common.present(methods), inputs, rounds, only
        self.times, self.failed, self.absent = {}, {}, {}  # times: {program: {method: [(figure, whole), ...]}}

    def wrong(self, app, method, answer, expected):
        """Why this answer is not as natively, or None."""
        _, status, stdout, said = answer
        if status is None:
            return said
        if status != expected[0]:
            return f"status {status}, natively {expected[0]}: {said}"
        if stdout != expected[1]:
            return f"stdout differs: {stdout[-200:]!r}, natively {expected[1][-200:]!r}"
        return None

    def fail(self, app, method, why):
        self.failed.setdefault(app.name, {})[method.name] = why
        self.times.get(app.name, {}).pop(method.name, None)
        print(f"bench: {app.name}: {method.name}: {why}", file=sys.stderr)

    def first_round(self, app):
        """What is expected of the others, or None."""
        native = self.methods[0]
        answer = once(app, native, self.inputs, check=True)
        if answer[1] != 0:
            self.fail(app, native, f"status {answer[1]}: {answer[3]}")
            return None
        self.times[app.name] = {m.name: [] for m in self.methods}
        for m in self.methods[1:]:
            why = self.wrong(app, m, once(app, m, self.inputs, check=True), (0, answer[2]))
            if why:
                self.fail(app, m, why)
        return 0, answer[2].split(MARK)[0]

    def measure(self, apps):
        expected = {}
        for app in apps:
            if self.only and self.only not in app.name:
                continue
            absent = [p for p in app.needs if not shutil.which(p, path=common.env["PATH"])]
            if absent or (tree in app.run and not os.path.isdir(tree)):
                self.absent[app.name] = ", ".join(absent or [tree]) + " not on this machine"
                continue
            common.say(f"programs: {app.name}")
            answer = self.first_round(app)
            if answer:
                expected[app] = answer
        for r in range(self.rounds):
            common.say(f"programs: round {r + 1} of {self.rounds}")
            for app in expected:
                for m in common.turned(self.methods, r):
                    if m.name not in self.times[app.name]:
                        continue
                    answer = once(app, m, self.inputs, check=False)
                    why = self.wrong(app, m, answer, expected[app])
                    if why:
                        self.fail(app, m, why)
                    else:
                        self.times[app.name][m.name].append(answer[0])


def measure(methods, quick, rounds, only=None):
    """{"rows": {program: figures}, "summary": {method: means and worst}}"""
    inputs = os.path.join(common.out, f"inputs-{os.getpid()}")
    os.makedirs(common.out, exist_ok=True)
    apps = [a for a in all_apps(free_port()) if a.quick or not quick]
    if common.present(methods)[:1] != methods[:1] or methods[0].name != "native":
        sys.exit("bench: programs are compared with native, which is not among the methods")
    run = Run(methods, inputs, rounds, only)
    try:
        make_inputs(inputs)
        run.measure(apps)
    finally:
        shutil.rmtree(inputs, ignore_errors=True)
    rows, ratios, wholes = {}, {}, {}
    for app in apps:
        if app.name not in run.times and app.name not in run.failed and app.name not in run.absent:
            continue
        times = run.times.get(app.name, {})
        row = rows[app.name] = {"what": app.what, "unit": "a second" if app.rate else "ms", "control": app.control,
                                "aim": app.aim, "methods": {}, "whole": {},
                                "failed": run.failed.get(app.name, {}), "absent": run.absent.get(app.name)}
        for which, key, sums in ((0, "methods", ratios), (1, "whole", wholes)):
            figures = {name: [v[which] for v in values] for name, values in times.items()}
            base = figures.get("native")
            if not base or None in base:
                continue
            for name, values in figures.items():
                if not values:
                    continue
                row[key][name] = common.figures(values, base if name != "native" else None)
                if name != "native" and not app.control and not app.rate:
                    sums.setdefault(name, {})[app.name] = row[key][name]["ratio"]
    return {"rows": rows, "aim_mean": AIM_MEAN, "aim_worst": AIM_WORST, "summary": {
        name: {"programs": len(r), "geometric_mean": round(common.geometric_mean(r.values()), 4),
               "worst": max(r.values()), "worst_program": max(r, key=r.get),
               "whole_mean": round(common.geometric_mean(wholes[name].values()), 4) if name in wholes else None}
        for name, r in ratios.items()}}


def table(result, methods, gvisor):
    names = [m for m in methods if m != "native" and any(m in r["methods"] for r in result["rows"].values())]
    print(f"\n{'programs':18}{'native':>14}{'±':>5}" + "".join(f"{m:>14}{'ratio':>8}{'whole':>7}" for m in names)
          + f"{'aim':>7}{'gVisor*':>9}")

    def figure(row, f):
        return f"{f['median']:11,.0f}/s" if row["unit"] == "a second" else f"{f['median']:10,.1f} ms"

    for name, row in result["rows"].items():
        line = f"{name:18}"
        if row["absent"]:
            print(f"{line}  not run: {row['absent']}")
            continue
        native = row["methods"].get("native")
        line += f"{figure(row, native):>14}{native['spread'] * 100:4.0f}%" if native else f"{'failed':>14}{'':5}"
        for m in names:
            f = row["methods"].get(m)
            line += f"{figure(row, f):>14}{f['ratio']:8.2f}" if f else f"{'failed' if m in row['failed'] else '-':>14}{'':8}"
            line += f"{row['whole'][m]['ratio']:7.2f}" if m in row["whole"] else f"{'':7}"
        line += f"{row['aim']:7.2f}" if row["aim"] else f"{'':7}"
        known = gvisor["programs"].get(name)
        print(line + (f"{known['value'] / known['native']:9.2f}" if known else ""))
    summary = result["summary"]
    mean, worst = lambda s: ("of " + str(s["programs"]), s["geometric_mean"], s["whole_mean"]), lambda s: (s["worst_program"], s["worst"], None)
    for title, of, aim, peer in (("geometric mean", mean, result["aim_mean"], gvisor["geometric_mean"]),
                                 ("worst", worst, result["aim_worst"], None)):
        line = f"{title:37}"
        for m in names:
            which, ratio, whole = of(summary[m]) if m in summary else ("-", None, None)
            line += f"{which:>14}" + (f"{ratio:8.2f}" if ratio else f"{'':8}") + (f"{whole:7.2f}" if whole else f"{'':7}")
        print(line + f"{aim:7.2f}" + (f"{peer:9.2f}" if peer else ""))
    print("whole: from outside, the sandbox's start and end included; the others are timed inside, as peers' figures are")
