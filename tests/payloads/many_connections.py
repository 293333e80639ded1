#!/usr/bin/env python3
# sentrybox: tries=connect to every port of the host; flags=--timeout 100s; expect=exit 0
# The canary listens on one of them. Nothing here may answer: the sandbox has no server of its own.
import os
import socket

for port in [int(os.environ["CANARY_TCP"]), int(os.environ["ALLOWED_TCP"]), 22, 80, 443, 2375, 5432, 6379, 8080, 10250]:
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        with socket.socket(family, socket.SOCK_STREAM) as s:
            s.settimeout(2)
            try:
                s.connect((address, port))
            except OSError:
                continue
            print("ESCAPED", address, port)
            raise SystemExit(1)
