#!/usr/bin/env bash
# What the guard costs: requests per second of sends with csw (a decision each, and its answer
# recorded) beside plain proxy_pass to the same upstream, by turns in one run.
#
#   make deps build && benches/nginx.sh [seconds per round]
#
# The gateway is examples/nginx/nginx.conf with two workers; the upstream is another nginx that
# answers every send with an id of its own.
set -euo pipefail

. "$(dirname "$0")/http.sh"
need nginx wrk

guarded=$(free_port) plain=$(free_port) upstream=$(free_port)

mkdir -m 700 "$dir/store"
printf secret >"$dir/app_secret"
printf token >"$dir/verify_token"
sed -e "s|/var/lib/csw|$dir/store|" -e "s|/etc/csw/|$dir/|" "$root/examples/nginx/csw.toml" >"$dir/csw.toml"

plain_server="server { listen 127.0.0.1:$plain; location / { proxy_pass http://graph;"
plain_server+=" proxy_http_version 1.1; proxy_set_header Connection \"\"; } }"
sed -e "s|^user .*|user $(id -un);|" -e "s|^http {|&$temp_paths $plain_server|" \
    -e "s|/run/nginx.pid|$dir/nginx.pid|" -e "s|/var/log/nginx/|$dir/|" \
    -e "s|/usr/local/share/lua/5.1|$build/share/lua|g" -e "s|/usr/local/lib|$build/lib|" -e "s|/etc/csw.toml|$dir/csw.toml|" \
    -e "s|listen 8080|listen 127.0.0.1:$guarded|" -e "s|127.0.0.1:8080|127.0.0.1:$guarded|" -e "s|https://graph;|http://graph;|" \
    -e "s|graph.facebook.com:443|127.0.0.1:$upstream|" \
    -e "s|lua_package_path \"|&$root/benches/?.lua;|" \
    -e "s|exit_worker_by_lua_block { |&require('longest').tell() |" \
    -e "/require(\"csw.nginx\").init_worker/a require('longest').watch(require('csw.nginx').gate())" \
    "$root/examples/nginx/nginx.conf" >"$dir/nginx.conf"
start_upstream "$upstream"
nginx -c "$dir/nginx.conf" -g 'daemon off;' &
pids+=($!)
wait_for_ports "$guarded" "$plain"
customers_write "$guarded"

measure_by_turns "$(nginx -v 2>&1 | cut -d' ' -f3)" "$plain" "$guarded"

# Its workers tell what they have measured when they exit.
kill -QUIT "${pids[1]}"
wait "${pids[1]}" || true
grep -o 'longest [a-z_]* [0-9]* [0-9]* [0-9]*' "$dir/error.log" |
    awk '{ if ($3 > held[$2]) held[$2] = $3; if ($4 > used[$2]) used[$2] = $4; calls[$2] += $5 }
         END { for (call in held) printf "longest %-14s %6d us by the clock, %5d us of processor, %9d calls\n", call, held[call], used[call], calls[call] }'
errors=$(grep '\[lua\]' "$dir/error.log" | grep -vc ' longest ' || true)
echo "answers that could not be recorded, or other complaints: $errors"
