#!/bin/sh
# In the machine of machine.py: asks port $1 of 10.0.2.2 for work, "PORT OPTIONS", until there is none, and tells there what
# came of the work before: an exit status and what was printed. First it waits, for $2 tenths of a second at most, until the
# kernel has closed its connection: after a mount that failed it takes 7 s for that.
answer="0 $(uname -r)"
while work=$(printf '%s' "$answer" | nc 10.0.2.2 "$1") && [ -n "$work" ]; do
    echo "${work%% *}" >/cfg/port
    if said=$(timeout -s KILL 30 cifs-mount "${work#* }" 2>&1); then
        said=$(timeout -s KILL 30 ls /mnt 2>&1)
        answer="$? $said"
        umount /mnt 2>/dev/null || umount -l /mnt 2>/dev/null
    else
        answer="$? $said"
    fi
    left=$2
    while [ $left -gt 0 ] && netstat -tn | grep -q "10.0.2.2:${work%% *} .*ESTABLISHED"; do
        left=$((left - 1))
        usleep 100000
    done
done
