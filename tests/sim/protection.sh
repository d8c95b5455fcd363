#!/bin/bash
# Every alteration of every message before the first operation, as tests/sim/protection.c has it: compares with
# tests/policies/protection.tsv, or writes it and docs/protection.md anew.
#
# usage: protection.sh BUILD-FOLDER [--update]
set -eu
build=${1:?"usage: protection.sh BUILD-FOLDER [--update]"}
here=$(dirname "$0")
table=$here/../policies/protection.tsv
page=$here/../../docs/protection.md

if [ "${2:-}" = --update ]; then
    "$build/tests/sim/protection" >"$table.new"
    mv "$table.new" "$table"
    python3 "$here/protection.py" "$table" >"$page"
    wc -l "$table" "$page"
else
    "$build/tests/sim/protection" --golden "$table"
    python3 "$here/protection.py" --check "$table" "$page"
fi
