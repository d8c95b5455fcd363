#!/bin/bash
# Every octet of every message before the first operation, every other value, in every configuration: 8.5 million
# connections, five minutes of processor time. Compares with tests/policies/unprotected.txt, or writes it.
#
# usage: tamper_all.sh BUILD-FOLDER [--update]
set -eu
build=${1:?"usage: tamper_all.sh BUILD-FOLDER [--update]"}
golden=$(dirname "$0")/../policies/unprotected.txt
tamper=$build/tests/sim/tamper
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$tamper" --list >"$work/configs"
if [ "${2:-}" = --update ]; then
    xargs -P "$(nproc)" -I '{}' sh -c '"$1" --config "$2" >"$3/$2.txt"' sh "$tamper" '{}' "$work" <"$work/configs"
    while read -r config; do cat "$work/$config.txt"; done <"$work/configs" >"$golden"
    wc -l "$golden"
else
    xargs -P "$(nproc)" -I '{}' "$tamper" --config '{}' --golden "$golden" <"$work/configs"
fi
