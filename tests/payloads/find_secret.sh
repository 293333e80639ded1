#!/bin/sh
# sentrybox: tries=find a hidden file by searching for it; flags=--timeout 60s; expect=exit 0
dir=$(dirname "$(dirname "$CANARY_SECRET")")
ls -laR "$dir"
find "$dir" -type f -exec cat {} + 2>/dev/null
cat "$CANARY_SECRET" 2>/dev/null
cat "/proc/1/root$CANARY_SECRET" "/proc/self/cwd/../../../..$CANARY_SECRET" 2>/dev/null
cp -r "$dir" /tmp/copy 2>/dev/null && cat /tmp/copy/*/secret 2>/dev/null
mv "$dir/hidden" "$dir/shown" 2>/dev/null && cat "$dir/shown/secret"
exit 0
