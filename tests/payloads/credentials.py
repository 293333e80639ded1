#!/usr/bin/env python3
# sentrybox: tries=collect credentials from homes and the environment; flags=--timeout 60s; expect=exit 0
import glob
import os

names = [".ssh", ".aws", ".gnupg", ".netrc", ".docker", ".kube", ".git-credentials", ".npmrc", ".pypirc", ".pgpass"]
found = []
for home in ["/root", *glob.glob("/home/*"), os.environ.get("HOME", "/")]:
    found += [p for n in names if os.path.lexists(p := os.path.join(home, n))]
found += [p for p in ("/etc/shadow", "/etc/gshadow", "/etc/ssh/ssh_host_ed25519_key", "/etc/ssl/private") if os.path.exists(p)]
allowed = {"PATH", "HOME", "TERM", "LANG", "TZ"}
found += [k for k in os.environ if k not in allowed and not k.startswith(("LC_", "CANARY_", "ALLOWED_"))
          and k not in ("PWD", "SHLVL", "_", "OLDPWD", "__CF_USER_TEXT_ENCODING")]
if found:
    print("ESCAPED", " ".join(found))
    raise SystemExit(1)
