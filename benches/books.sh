#!/bin/sh
# Accounting at size: `csw ingest` of 1,000,000 stored webhooks, `csw report` of one month over 10,000,000 ledger entries, and what the store takes.
set -eu
cd "$(dirname "$0")/.."
csw=${CSW_BUILD:-$PWD/build}/bin/csw
webhooks=${1:-1000000}
entries=${2:-10000000}
work=$(mktemp -d "${TMPDIR:-/var/tmp}/csw-books.XXXXXX")
trap 'rm -rf "$work"' EXIT INT TERM

printf 'store = "lmdb:ingest"\nrules = "meta"\ncurrency = "EUR"\n' > "$work/ingest.toml"
printf 'store = "lmdb:ledger"\nrules = "meta"\ncurrency = "EUR"\n' > "$work/ledger.toml"
bytes() { du -sB1 "$work/$1" | cut -f1; }
measured() { /usr/bin/time -f '%e s, %U s user, %M KiB at most' "$@"; }

cargo bench -q --bench books -- webhooks "$webhooks" > "$work/webhooks.jsonl"
echo "== csw ingest of $webhooks webhooks ($(du -h "$work/webhooks.jsonl" | cut -f1))"
measured "$csw" -c "$work/ingest.toml" ingest "$work/webhooks.jsonl"
echo "store: $(bytes ingest) bytes"
echo "== the same again"
measured "$csw" -c "$work/ingest.toml" ingest "$work/webhooks.jsonl"

mkdir -m 700 "$work/ledger"
cargo bench -q --bench books -- ledger "$entries" "$work/ledger"
echo "== csw report of one month over $entries ledger entries"
echo "store: $(bytes ledger) bytes, $(($(bytes ledger) / entries)) for each entry with its totals"
measured "$csw" -c "$work/ledger.toml" report --month 2026-10 --by day,category
measured "$csw" -c "$work/ledger.toml" report --month 2026-10 --by market,charge > "$work/report.txt"
echo "== csw doctor --deep: the totals against the ledger"
measured "$csw" -c "$work/ledger.toml" doctor --deep || true
