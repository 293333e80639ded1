#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The quick start: an agent's script in a sandbox. It may read this machine's files and reach one server (a proxy on the
# loopback), nothing else; what it writes stays in memory, and one file of it is copied out at the end.
set -eu
cd "$(dirname "$0")/.."

work=$(mktemp -d)
cleanup() {
	[ -n "${PROXY_PID:-}" ] && kill "$PROXY_PID" 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT

# The server outside that stands for the proxy.
coproc PROXY { exec python3 examples/proxy.py; }
read -r port <&"${PROXY[0]}"

set -- build/sentrybox do --memory 512m --pids 64 --timeout 60s \
	--egress-allow "127.0.0.1:$port" --audit "$work/audit.json" \
	--env "PROXY=http://127.0.0.1:$port" --mount "$PWD/examples:/examples" \
	--copy-out "/work/result.json:$work/result.json" -- python3 /examples/agent.py
echo "\$ $*" | sed "s|$work|.|g; s|$PWD|.|g"
echo
"$@"

echo
echo "What came out:"
cat "$work/result.json"
echo
echo
echo "What was refused (the audit log):"
cat "$work/audit.json"
grep -q changed.by.agent /etc/hosts && { echo "/etc/hosts of this machine was changed!" >&2; exit 1; }
grep -q '"rule":"egress"' "$work/audit.json" || { echo "the refused connection is not in the audit log!" >&2; exit 1; }
echo
echo "/etc/hosts of this machine is as it was. Try: build/sentrybox do -- bash"
