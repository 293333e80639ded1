#!/bin/sh
# sentrybox: tries=read the environment of the host's processes; flags=; expect=exit 0
# Every environ that can be read is printed: the harness looks for its secrets, we for the caller's variables.
for f in /proc/[0-9]*/environ; do
	tr '\0' '\n' <"$f" 2>/dev/null
done | grep -q '^SSH_\|^AWS_\|^XDG_' && { echo "ESCAPED variables of the caller"; exit 1; }
exit 0
