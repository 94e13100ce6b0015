#!/usr/bin/env bash
# What many contacts take: disk, a process's own memory, and time to open them.
#
#   make deps deps-bench build && benches/size.sh [contacts] [ten times as many]
set -euo pipefail

. "$(dirname "$0")/common.sh"
need cc

few=${1:-1000000} many=${2:-10000000}
store=$(store "$many" open)
compile open

forget() {
    sync
    for file in "$1"/*; do dd if="$file" iflag=nocache count=0 status=none; done
}

row "disk for a contact, its record alone, of $many" "$(($(du -B1 "$store/data.mdb" | cut -f1) / many))" "" "" bytes "<=160"
row "disk for its hint" "$(($(du -B1 "$store/csw.hints" | cut -f1) / many))" "" "" bytes ""
forget "$store"
read -r cold _ < <("$dir/open" "$store" "$many" 0)
read -r warm _ < <("$dir/open" "$store" "$many" 0)
row "opening $many contacts and a first \`csw_check\`, nothing of them in the page cache" "$cold" "" "" ms "<=20"
row "the same, in the page cache" "$warm" "" "" ms "<=20"
read -r _ large < <("$dir/open" "$store" "$many" 1000000)
read -r _ small < <("$dir/open" "$(store "$few" open)" "$few" 1000000)
row "a process's memory beyond mapped files after 1000000 checks, $many contacts" "$large" "$small" "$few contacts" KiB "<=1.1x"
