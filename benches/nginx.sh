#!/usr/bin/env bash
# What the guard costs in nginx: sends with csw (a decision each, and its answer recorded) beside plain proxy_pass, beside
# empty Lua handlers in the same phases, and beside a guard in ten lines of Lua over Redis, all by turns in one run. The guard has an nginx
# of its own, as a gateway has one guard: LuaJIT compiles a function once for all that call it in a worker.
#
#   make deps deps-bench build && benches/nginx.sh [seconds per round]
#
# The gateway is examples/nginx/nginx.conf with two workers, and so has the other one; the upstream is another nginx that answers every send with an id
# of its own.
set -euo pipefail

. "$(dirname "$0")/http.sh"
need nginx redis-server wrk curl openssl

declare -A port=([plain]=$(free_port) [empty]=$(free_port) [redis]=$(free_port) [guarded]=$(free_port))
upstream=$(free_port)

mkdir -m 700 "$dir/store"
printf secret >"$dir/app_secret"
printf token >"$dir/verify_token"
sed -e "s|/var/lib/csw|$dir/store|" -e "s|/etc/csw/|$dir/|" "$root/examples/nginx/csw.toml" >"$dir/csw.toml"

cat >"$dir/beside.conf" <<CONF
user $(id -un);
worker_processes 2;
pid $dir/beside.pid;
error_log $dir/beside.log warn;
include /etc/nginx/modules-enabled/*.conf;
events { worker_connections 1024; }
http {
    $(temp_paths)
    access_log $dir/beside.access.log;
    upstream graph { server 127.0.0.1:$upstream; keepalive 32; }
    server {
        listen 127.0.0.1:${port[plain]};
        location / { include $dir/proxy.conf; }
    }
    server {
        listen 127.0.0.1:${port[empty]};
        header_filter_by_lua_block { return }
        log_by_lua_block { return }
        location / {
            access_by_lua_block { return }
            body_filter_by_lua_block { return }
            include $dir/proxy.conf;
        }
    }
    server {
        listen 127.0.0.1:${port[redis]};
        location ~ ^/v\d+\.\d+/(?<business>\d+)/messages$ {
            set \$redis unix:$dir/redis.sock;
            access_by_lua_file $root/benches/redis_guard.lua;
            include $dir/proxy.conf;
        }
    }
}
CONF
echo 'proxy_pass http://graph; proxy_http_version 1.1; proxy_set_header Connection "";' >"$dir/proxy.conf"

# The example with the paths of this run, and with further changes to it (for sed).
start_gateway() {
    sed -e "s|^user .*|user $(id -un);|" -e "s|^http {|& $(temp_paths)|" \
        -e "s|/run/nginx.pid|$dir/nginx.pid|" -e "s|/var/log/nginx/|$dir/|" \
        -e "s|/usr/local/share/lua/5.1|$build/share/lua|g" -e "s|/usr/local/lib|$build/lib|" -e "s|/etc/csw.toml|$dir/csw.toml|" \
        -e "s|listen 8080|listen 127.0.0.1:${port[guarded]}|" -e "s|127.0.0.1:8080|127.0.0.1:${port[guarded]}|" \
        -e "s|https://graph;|http://graph;|" -e "s|graph.facebook.com:443|127.0.0.1:$upstream|" "$@" \
        "$root/examples/nginx/nginx.conf" >"$dir/nginx.conf"
    nginx -c "$dir/nginx.conf" -g 'daemon off;' &
    gateway=$!
    pids+=("$gateway")
    wait_for_ports "${port[guarded]}"
}
stop_gateway() {
    kill -QUIT "$gateway"
    wait "$gateway" || true
}

# used loops|recorders NGINX: the processor time that its workers' event loops, or their recorders, have used so far, in nanoseconds.
used() {
    local worker task
    for worker in $(cat "/proc/$2/task/$2/children"); do
        for task in "/proc/$worker/task"/*; do
            case $1:${task##*/}:$(cat "$task/comm") in
                loops:"$worker":* | recorders:*:csw-recorder) cat "$task/schedstat" ;;
            esac
        done
    done | awk '{ sum += $1 } END { printf "%.0f", sum }'
}
# Once what was submitted is on disk.
settled() {
    local before after
    until after=$(used recorders "$gateway") && [[ $after == "${before-}" ]]; do
        before=$after
        sleep 0.2
    done
}

start_upstream "$upstream"
start_redis
for ((n = 0; n < 1000; n++)); do printf '106540352242922:1650555%04d\n' "$n"; done | redis_keys
start_gateway
nginx -c "$dir/beside.conf" -g 'daemon off;' &
beside=$!
pids+=("$beside")
wait_for_ports "${port[plain]}" "${port[empty]}" "${port[redis]}"
customers_write "${port[guarded]}"

declare -A loops recorders count rate
for _ in 1 2; do
    for path in plain empty redis guarded; do
        nginx=$beside
        if [[ $path == guarded ]]; then nginx=$gateway; fi
        loops_before=$(used loops "$nginx") recorders_before=$(used recorders "$nginx")
        measure "$path" "${port[$path]}" >&2
        settled
        loops[$path]=$((${loops[$path]-0} + $(used loops "$nginx") - loops_before))
        recorders[$path]=$((${recorders[$path]-0} + $(used recorders "$nginx") - recorders_before))
        count[$path]=$((${count[$path]-0} + $(requests)))
        rate[$path]=$(awk -v one="${rate[$path]-0}" -v other="$(requests_per_second)" 'BEGIN { print one + other / 2 }')
        [[ $(failed) == 0 ]]
    done
done
[[ ${loops[plain]} -gt 0 && ${recorders[guarded]} -gt 0 ]]

# per_request NANOSECONDS PATH: in microseconds.
per_request() { awk -v used="$1" -v count="${count[$2]}" 'BEGIN { printf "%.2f", used / 1000 / count }'; }
loop() { per_request "${loops[$1]}" "$1"; }
work="nginx, guarded and accounted: the event loop's processor time for a request"
row "$work" "$(loop guarded)" "$(loop plain)" "plain \`proxy_pass\`" µs "<=+10"
row "$work" "$(loop guarded)" "$(loop empty)" "empty Lua handlers in the same phases" µs ""
row "$work" "$(loop guarded)" "$(loop redis)" "ten lines of Lua over Redis" µs ""
row "nginx: the recorder's processor time for a request" "$(per_request "${recorders[guarded]}" guarded)" "" "" µs ""
row "nginx, guarded and accounted: requests" "${rate[guarded]}" "${rate[redis]}" "ten lines of Lua over Redis, not accounted" /s ">=1.5x"
row "nginx, guarded and accounted: requests" "${rate[guarded]}" "${rate[plain]}" "plain \`proxy_pass\`" /s ""
echo "complaints in the log: $(grep -c '\[lua\]' "$dir/error.log" || true)" >&2

# Once more, watched: how long a call of the library holds a worker. The workers tell it when they exit.
stop_gateway
start_gateway -e "s|lua_package_path \"|&$root/benches/?.lua;|" -e "s|exit_worker_by_lua_block { |&require('longest').tell() |" \
    -e "/require(\"csw.nginx\").init_worker/a require('longest').watch(require('csw.nginx').gate())"
send_for_a_round "${port[guarded]}" 32
stop_gateway
grep -o 'longest [a-z_]* [0-9]* [0-9]* [0-9]*' "$dir/error.log" |
    awk '{ if ($3 > held[$2]) held[$2] = $3; if ($4 > used[$2]) used[$2] = $4; calls[$2] += $5 }
         END {
             for (call in held)
                 printf "longest %-14s %6d us by the clock, %5d us of processor, %9d calls\n", call, held[call], used[call], calls[call]
         }' >&2
