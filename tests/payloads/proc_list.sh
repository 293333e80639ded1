#!/bin/sh
# sentrybox: tries=see processes of the host; flags=; expect=exit 0
# In /proc there are the sandbox's own processes, and nothing with the victim's name.
n=$(ls -d /proc/[0-9]* | wc -l)
[ "$n" -le 6 ] || { echo "ESCAPED $n processes are seen"; exit 1; }
if cat /proc/[0-9]*/comm 2>/dev/null | grep -q canary; then echo "ESCAPED the victim is seen"; exit 1; fi
exit 0
