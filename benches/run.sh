#!/usr/bin/env bash
# All that is to be reached, measured in one run, as the Markdown section that benches/RESULTS.md holds.
#
#   make bench, or make deps deps-bench build && benches/run.sh [divisor of all sizes, for a trial]
#
# The first run fills stores of 1,000,000 and 10,000,000 contacts under target/bench, which later runs use again.
set -euo pipefail
cd "$(dirname "$0")"

divisor=${1:-1}
few=$((1000000 / divisor)) many=$((10000000 / divisor))
rows=$(mktemp)
trap 'rm -f "$rows"' EXIT
measure() {
    echo "== benches/$*" >&2
    ./"$@" >>"$rows"
}
measure lookup.sh "$few" "$many"
measure nginx.sh 8
measure books.sh "$few" "$many"
measure size.sh "$few" "$many"

version() { dpkg-query -W -f '${Version}' "$1" | sed 's/^[0-9]*://; s/[-+].*//'; }
echo "Measured on $(date -u +%F): $(nproc) × $(sed -n 's/^model name\t*: //p' /proc/cpuinfo | head -n 1)," \
    "$(awk '/^MemTotal/ { printf "%.0f GiB", $2 / 1048576 }' /proc/meminfo), Linux $(uname -r | cut -d- -f1)," \
    "$(sed -n 's/^PRETTY_NAME="\(.*\)"/\1/p' /etc/os-release), nginx $(version nginx) with lua-nginx-module" \
    "$(version libnginx-mod-http-lua), Redis $(version redis-server), SQLite $(version libsqlite3-0)."
echo
awk -f table.awk "$rows"
