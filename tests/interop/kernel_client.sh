#!/bin/sh
# In the machine of kernel_client.py: mounts the share in each way, and works in it. One line for each way: "ok WAY" or
# "not ok WAY: why". `cifs-mount OPTIONS` mounts at /mnt, `cifs-dmesg` prints what the kernel said since its last call.
#
# usage: kernel_client.sh MIB FILES SECONDS WAY...
mib=$1 files=$2 seconds=$3
shift 3

fail() {
    echo "$1"
    exit 1
}

# The first step that goes wrong is printed.
work() {
    mkdir /mnt/work && cd /mnt/work || fail "no folder can be made"
    dd if=/dev/urandom of=/tmp/source bs=1M count="$mib" 2>/dev/null
    cp /tmp/source large && sync || fail "cp in"
    echo 3 >/proc/sys/vm/drop_caches
    cmp /tmp/source large || fail "what was written is read back otherwise"
    cp large copy && cmp large copy || fail "cp on the share"
    mv large moved && [ ! -e large ] && [ "$(stat -c %s moved)" = $((mib << 20)) ] || fail "mv"
    mkdir -p one/two/three && mv one/two four && [ -d four/three ] && rmdir four/three four one || fail "folders"
    mkdir many || fail "mkdir"
    i=0
    while [ $i -lt "$files" ]; do
        echo $i >"many/file $i" || fail "file $i"
        i=$((i + 1))
    done
    echo 3 >/proc/sys/vm/drop_caches
    [ "$(ls many | wc -l)" = "$files" ] || fail "a listing is not complete"
    [ "$(cat "many/file $((files - 1))")" = $((files - 1)) ] || fail "a small file"
    rm -r many && [ ! -e many ] || fail "rm -r"
    truncate -s 100000 moved && truncate -s 3 moved && printf four >>moved && [ "$(stat -c %s moved)" = 7 ] || fail "truncate"
    touch -d '2001-02-03 04:05:06' moved && [ "$(date -r moved +%Y%m%d%H%M%S)" = 20010203040506 ] || fail "a time"
    : >'Ünï—文' && [ -e 'Ünï—文' ] && rm 'Ünï—文' || fail "a name beyond ASCII"
    [ ! -e nothing ] && ! cat nothing 2>/dev/null || fail "what is not there"
    rm moved copy && cd / && rmdir /mnt/work || fail "not all goes away"
}

# With programs that may not be in the machine.
soak() {
    mkdir /mnt/soak && cd /mnt/soak || fail "no folder can be made"
    if command -v fsxlite >/dev/null; then
        fsxlite -n $((seconds * 40)) -s 1 fsx >/tmp/fsx 2>&1 || fail "fsxlite: $(tail -n 1 /tmp/fsx)"
        fsxlite -n $((seconds * 10)) -s 2 -d -l 300000 fsx >/tmp/fsx 2>&1 || fail "fsxlite: $(tail -n 1 /tmp/fsx)"
        rm -f fsx*
    fi
    if command -v dbench >/dev/null; then
        timeout $((seconds * 4 + 120)) dbench -t "$seconds" -D . -c /usr/share/dbench/client.txt 4 >/tmp/dbench 2>&1
        grep -q Throughput /tmp/dbench || fail "dbench: $(tail -n 1 /tmp/dbench)"
        rm -rf clients
    fi
    if command -v fio >/dev/null; then
        fio --name=verify --directory=. --size=8m --bs=64k --rw=randrw --verify=crc32c --verify_fatal=1 --do_verify=1 \
            --numjobs=2 --ioengine=psync --end_fsync=1 --minimal >/tmp/fio 2>&1 || fail "fio: $(tail -n 1 /tmp/fio)"
        rm -f verify* local-verify* # and the state that fio keeps of it
    fi
    cd / && rmdir /mnt/soak || fail "not all goes away: $(ls -la /mnt/soak /mnt/soak/* 2>&1 | head -n 20)"
}

status=0
for way; do
    if ! why=$(cifs-mount "$way" 2>&1); then
        echo "not ok $way: it is not mounted: $why"
        status=1
        continue
    fi
    if why=$(work 2>&1) && { [ "$seconds" = 0 ] || why=$(soak 2>&1); }; then
        echo "ok $way"
    else
        echo "not ok $way: $why"
        status=1
        rm -rf /mnt/work /mnt/soak
    fi
    umount /mnt || umount -l /mnt
    cifs-dmesg | sed "s/^/# /"
done
exit $status
