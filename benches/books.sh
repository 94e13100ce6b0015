#!/usr/bin/env bash
# Recording at size: webhooks that wait for the disk, `csw ingest` of stored ones, and `csw report` over a large ledger.
#
#   make deps deps-bench build && benches/books.sh [webhooks] [ledger entries]
set -euo pipefail

. "$(dirname "$0")/common.sh"
need cc
csw=$build/bin/csw
webhooks=${1:-1000000} entries=${2:-10000000}

fill() { (cd "$root" && cargo bench -q --bench fill -- "$@"); }
quotient() { awk -v one="$1" -v other="$2" 'BEGIN { printf "%.0f", one / other }'; }
# took COMMAND...: its seconds go to wall, those of the processor to processor, and its most memory in MiB to memory.
took() {
    local began=$EPOCHREALTIME
    /usr/bin/time -o "$dir/time" -f '%U %S %M' "$@" >"$dir/said" || [[ $? == 3 ]] # ill: a doctor may say so
    wall=$(awk -v began="$began" -v ended="$EPOCHREALTIME" 'BEGIN { printf "%.3f", ended - began }')
    read -r processor memory < <(awk 'END { print $1 + $2, $3 / 1024 }' "$dir/time")
}

# 64 in flight, and one after the other; SQLite does what it can for one row a commit.
compile ingest
compile lookup -lhiredis -lsqlite3
few=$((webhooks / 500))
fill webhooks $((few * 10)) secret >"$dir/signed"
ingested() { SECRET=secret "$dir/ingest" "$dir/durable-$1" "$dir/signed" "$1" "$2"; }
mkdir -m 700 "$dir/durable-1" "$dir/durable-64"
one=$(ingested 1 "$few")
many=$(ingested 64 $((few * 10)))
row "durable ingest, 64 webhooks in flight" "$many" "$one" "one commit for each" /s ">=8x"
by_sqlite=$("$dir/lookup" sqlite "$dir/sqlite" 100000 "$few" 0 1)
row "durable ingest, 64 webhooks in flight" "$many" "$by_sqlite" "SQLite (WAL, synchronous = FULL), one row a commit" /s ""

printf 'store = "lmdb:stored"\nrules = "meta"\ncurrency = "EUR"\n' >"$dir/stored.toml"
fill webhooks "$webhooks" >"$dir/webhooks.jsonl"
took "$csw" -c "$dir/stored.toml" ingest "$dir/webhooks.jsonl"
row "\`csw ingest\` of $webhooks stored webhooks, parsed and recorded" "$(quotient "$webhooks" "$wall")" "" "" /s ">=80000"
row "the same, by its processor time of $processor s (the clock's: $wall s)" "$(quotient "$webhooks" "$processor")" "" "" /s ""
row "the same, its memory at most, mapped pages of the store included" "$memory" "" "" MiB ""
row "the same, disk for each webhook with its message, record and ledger lines" \
    "$(quotient "$(du -sB1 "$dir/stored" | cut -f1)" "$webhooks")" "" "" bytes ""
took "$csw" -c "$dir/stored.toml" ingest "$dir/webhooks.jsonl"
row "the same webhooks again: nothing changes" "$(quotient "$webhooks" "$wall")" "" "" /s ""

printf 'store = "lmdb:ledger"\nrules = "meta"\ncurrency = "EUR"\n' >"$dir/ledger.toml"
mkdir -m 700 "$dir/ledger"
fill ledger "$entries" "$dir/ledger"
row "disk for each of $entries ledger entries with its totals" "$(quotient "$(du -sB1 "$dir/ledger" | cut -f1)" "$entries")" "" "" bytes ""
took "$csw" -c "$dir/ledger.toml" report --month 2026-10 --by day,category
row "\`csw report\` of their month by day and category" "$wall" "" "" s ""
took "$csw" -c "$dir/ledger.toml" doctor --deep
row "\`csw doctor --deep\`: all of them added up beside the totals" "$wall" "" "" s ""
