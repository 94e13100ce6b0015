#!/usr/bin/env bash
# What the guard costs in HAProxy: requests per second of sends with csw (a decision each, and its
# answer recorded) beside plain HAProxy to the same upstream, by turns in one run; then the longest
# time that a call held its thread.
#
#   make deps deps-bench build && sudo benches/haproxy.sh [seconds per round]
#
# The gateway is examples/haproxy/haproxy.cfg with two threads, as the user haproxy in a chroot; the
# upstream is an nginx that answers every send with an id of its own.
set -euo pipefail

. "$(dirname "$0")/http.sh"
need haproxy nginx wrk cc
[[ $(id -u) == 0 ]] || { echo "HAProxy is started by root, as Debian's unit does: run this as root" >&2; exit 1; }

guarded=$(free_port) plain=$(free_port) upstream=$(free_port) measured=$(free_port)

start_upstream "$upstream"

# The example with the paths of this run: a gateway of its own below $dir/NAME, on PORT, with further lines of Lua.
gateway() {
    local name=$1 port=$2 lua=$3 more=$4 at=$dir/$1
    local store=$at/jail$at/store
    mkdir -p "$at/lua" "$at/jail/dev" "$store"
    chown haproxy: "$store"
    ln -s "$store" "$at/store"
    printf secret >"$at/app_secret"
    printf token >"$at/verify_token"
    sed -e "s|/var/lib/csw|$at/store|" -e "s|/etc/csw/|$at/|" "$root/examples/haproxy/csw.toml" >"$at/csw.toml"
    { echo "$lua"; sed "s|/etc/csw.toml|$at/csw.toml|" "$root/examples/haproxy/csw.lua"; } >"$at/csw.lua"
    cp "$root/benches/haproxy/longest.lua" "$at/lua/watch.lua"
    cc -O2 -shared -fPIC -o "$at/lua/longest.so" "$root/benches/haproxy/longest.c"

    local paths="lua-prepend-path $build/share/lua/?.lua\n    lua-prepend-path $build/share/lua/?/init.lua\n"
    paths+="    lua-prepend-path $at/lua/?.lua\n    lua-prepend-path $at/lua/?.so cpath\n"
    paths+="    lua-prepend-path $build/lib/lua/5.3/?.so cpath\n    nbthread 2\n"
    sed -e "s|/var/lib/haproxy|$at/jail|" -e "s|/run/haproxy/|$at/|" -e "s|/dev/log len|127.0.0.1:9 len|" \
        -e "s|lua-load-per-thread .*|${paths}    lua-load-per-thread $at/csw.lua|" \
        -e "s|bind :8080|bind 127.0.0.1:$port\n    $more|" -e "s|server graph .*|server graph 127.0.0.1:$upstream|" \
        "$root/examples/haproxy/haproxy.cfg" >"$at/haproxy.cfg"
    cat >>"$at/haproxy.cfg"
    haproxy -Ws -f "$at/haproxy.cfg" -p "$at/pid" 2>"$at/stderr" &
    pids+=($!)
}
gateway guarded "$guarded" "" "" <<END

frontend plain
    bind 127.0.0.1:$plain
    log-format "%HM %HPO %ST %ts %Ta"
    default_backend plain

backend plain
    server graph 127.0.0.1:$upstream
END
gateway measured "$measured" 'require("watch")' 'http-request use-service lua.longest if { path /longest }' </dev/null
wait_for_ports "$guarded" "$plain" "$measured"
customers_write "$guarded" "$measured"

measure_by_turns "$(haproxy -v | head -n 1 | cut -d' ' -f1-3)" "$plain" "$guarded"
echo "answers that could not be recorded, or other complaints: $(grep -c 'csw:' "$dir/guarded/stderr" || true)"

longest() {
    read -r wall cpu calls < <(curl -sS "http://127.0.0.1:$measured/longest")
    printf '%-32s longest hold %6d us by the clock, %5d us of processor, %9d calls\n' "$1" "$wall" "$cpu" "$calls"
}
curl -sS -o /dev/null "http://127.0.0.1:$measured/longest"
send_for_a_round "$measured" 1
longest "sends, one at a time"
send_for_a_round "$measured" 32
longest "sends, 32 at a time"
{ printf '{"padding":"'; head -c 3000000 /dev/zero | tr '\0' x; printf '"}'; } >"$dir/large.json"
for _ in 1 2 3 4 5; do
    webhook "$measured" "$dir/large.json"
done
longest "webhooks of 3 MB"
