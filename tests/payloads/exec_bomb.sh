#!/bin/sh
# sentrybox: tries=exec itself again and again; flags=--timeout 60s; expect=exit 0
n=${1:-0}
[ "$n" -ge 200 ] && exit 0
exec "$0" $((n + 1))
