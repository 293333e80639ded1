#!/bin/sh
# sentrybox: tries=see sockets of the container engine; flags=; expect=exit 0
for s in /run/docker.sock /var/run/docker.sock /run/containerd/containerd.sock /run/podman/podman.sock; do
	[ -S "$s" ] && command -v curl >/dev/null && curl -s -m 2 --unix-socket "$s" http://x/info && { echo "ESCAPED $s answers"; exit 1; }
done
exit 0
