#!/usr/bin/env bash
# A contact looked up: from LuaJIT in a worker of nginx, beside its shared dictionary and Redis; and from C, by several
# processes while another one writes, beside Redis and SQLite.
#
#   make deps deps-bench build && benches/lookup.sh [contacts] [ten times as many]
set -euo pipefail

. "$(dirname "$0")/common.sh"
need nginx redis-server strace curl cc

contacts=${1:-1000000} large=${2:-10000000}
open=$(store "$contacts" open) closed=$(store "$contacts" closed) many=$(store "$large" open)
sqlite=$stores/$contacts.sqlite
start_redis
contact_keys "$contacts" | redis_keys
compile lookup -lhiredis -lsqlite3

# lookup BACKEND WHERE LOOKUPS READERS WRITERS
lookup() { "$dir/lookup" "$1" "$2" "$contacts" "${@:3}"; }

read -r _ _ _ from_sqlite _ < <(lookup sqlite "$sqlite" 500000 1 0)
cat >"$dir/nginx.conf" <<CONF
user $(id -un);
worker_processes 1;
pid $dir/nginx.pid;
error_log $dir/error.log warn;
include /etc/nginx/modules-enabled/*.conf;
events { worker_connections 16; }
http {
    access_log off;
    $(temp_paths)
    lua_package_path "$build/share/lua/?.lua;$build/share/lua/?/init.lua;;";
    lua_package_cpath "$build/lib/?.so;;";
    lua_shared_dict windows $((contacts / 5000 + 64))m;
    server {
        listen unix:$dir/nginx.sock;
        location / { content_by_lua_file $root/benches/lookup.lua; }
    }
}
CONF
nginx -c "$dir/nginx.conf" -g 'daemon off;' &
pids+=($!)
until [[ -S $dir/nginx.sock ]]; do sleep 0.05; done
query="count=$contacts&open=$open&closed=$closed&large_count=$large&large=$many&sqlite=$from_sqlite"
curl -sSf --max-time 580 --unix-socket "$dir/nginx.sock" "http://bench/?$query&redis_port=$redis_port&redis_socket=$redis_socket" ||
    { cat "$dir/error.log" >&2; exit 1; }

# Four that read while one writes, each backend by itself. The store is a copy: it is written to.
cp -r "$open" "$dir/written"
lookups=200000
read -r csw50 csw99 csw9999 _ < <(lookup csw "$dir/written" $lookups 4 1)
read -r redis50 redis99 redis9999 _ < <(lookup redis "$redis_socket" $lookups 4 1)
read -r sqlite50 sqlite99 sqlite9999 _ < <(lookup sqlite "$sqlite" $lookups 4 1)
work="\`csw_check\` from C, $contacts contacts, 4 processes read while one writes"
row "$work: p50" "$csw50" "$redis50" "Redis \`EXISTS\`, hiredis, Unix socket" ns ""
row "$work: p50" "$csw50" "$sqlite50" "SQLite by primary key" ns ""
row "$work: p99" "$csw99" "$redis99" "Redis" ns ""
row "$work: p99" "$csw99" "$sqlite99" "SQLite" ns ""
row "$work: p99.99" "$csw9999" "$redis9999" "Redis" ns ""
row "$work: p99.99" "$csw9999" "$sqlite9999" "SQLite" ns ""

# What the calls themselves ask of the system: what more of them make beyond fewer.
system_calls() {
    strace -f -qq -o "$dir/strace" "$dir/lookup" "$1" "$2" "$contacts" "$3" 1 0 >/dev/null
    wc -l <"$dir/strace"
}
calls() {
    local few many
    few=$(system_calls "$1" "$2" 1000)
    many=$(system_calls "$1" "$2" 11000)
    awk -v calls=$((many - few)) 'BEGIN { printf "%.2f", calls / 10000 }'
}
csw_calls=$(calls csw "$open")
redis_calls=$(calls redis "$redis_socket")
read -r _ _ _ _ csw_allocations _ < <(lookup csw "$open" 10000 1 0)
read -r _ _ _ _ redis_allocations _ < <(lookup redis "$redis_socket" 10000 1 0)
row "system calls in a \`csw_check\`" "$csw_calls" "$redis_calls" "Redis \`EXISTS\`, hiredis" "" "<=0"
row "allocations in a \`csw_check\`, window open" "$csw_allocations" "$redis_allocations" "Redis \`EXISTS\`, hiredis" "" "<=0"
