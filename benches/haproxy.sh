#!/usr/bin/env bash
# What the guard costs in HAProxy: requests per second of sends with csw (a decision each, and its
# answer recorded) beside plain HAProxy to the same upstream, by turns in one run; then the longest
# time that a call held its thread.
#
#   make deps build && sudo benches/haproxy.sh [seconds per round]
#
# The gateway is examples/haproxy/haproxy.cfg with two threads, as the user haproxy in a chroot; the
# upstream is an nginx that answers every send with an id of its own.
set -euo pipefail

seconds=${1:-8}
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${CSW_BUILD:-$root/build}" && pwd)
for program in haproxy nginx wrk cc; do
    command -v "$program" >/dev/null || { echo "$program is missing: run make deps" >&2; exit 1; }
done
[[ $(id -u) == 0 ]] || { echo "HAProxy is started by root, as Debian's unit does: run this as root" >&2; exit 1; }

dir=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap stop EXIT

free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); do
        (: </dev/tcp/127.0.0.1/$port) 2>/dev/null || { echo "$port"; return; }
    done
}
guarded=$(free_port) plain=$(free_port) upstream=$(free_port) measured=$(free_port)

cat >"$dir/upstream.conf" <<END
user $(id -un);
worker_processes 1;
pid $dir/upstream.pid;
error_log $dir/upstream_error.log;
events { worker_connections 1024; }
http {
    client_body_temp_path $dir/client_body;
    access_log off;
    keepalive_requests 1000000000;
    server {
        listen 127.0.0.1:$upstream;
        default_type application/json;
        location / { return 200 '{"messaging_product":"whatsapp","messages":[{"id":"wamid.\$request_id"}]}'; }
    }
}
END
nginx -c "$dir/upstream.conf" -g 'daemon off;' &
pids+=($!)

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
for port in "$upstream" "$guarded" "$plain" "$measured"; do
    until (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null; do sleep 0.05; done
done

# A thousand customers write, so that their windows are open.
customers=1000
messages=$(for ((n = 0; n < customers; n++)); do
    printf '%s{"from":"1650555%04d","id":"wamid.in%d","timestamp":"%d","type":"text","text":{"body":"x"}}' \
        "$([[ $n == 0 ]] || echo ,)" "$n" "$n" "$(date +%s)"
done)
printf '{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"},"messages":[%s]}}]}]}' \
    "$messages" >"$dir/webhook.json"
signature=$(openssl dgst -sha256 -hmac secret -r "$dir/webhook.json" | cut -d' ' -f1)
for port in "$guarded" "$measured"; do
    curl -sSf -H "X-Hub-Signature-256: sha256=$signature" "http://127.0.0.1:$port/webhook" \
        --data-binary "@$dir/webhook.json"
done

cat >"$dir/send.lua" <<'END'
local body = '{"messaging_product":"whatsapp","recipient_type":"individual","to":"1650555%04d",'
  .. '"type":"text","text":{"preview_url":false,"body":"' .. ("x"):rep(180) .. '"}}'
local n = 0

function request()
  n = (n + 1) % 1000
  return wrk.format("POST", "/v23.0/106540352242922/messages",
    { ["Content-Type"] = "application/json" }, body:format(n))
end
END

echo "$(nproc) cores, $(haproxy -v | head -n 1 | cut -d' ' -f1-3), wrk -t1 -c32 -d${seconds}s"
printf '%-10s %12s %10s %10s %10s\n' path requests/s p50 p99 failed
measure() {
    wrk -t1 -c32 -d"${seconds}s" --latency -s "$dir/send.lua" "http://127.0.0.1:$2" >"$dir/wrk"
    printf '%-10s %12s %10s %10s %10s\n' "$1" \
        "$(awk '/Requests\/sec/ { print $2 }' "$dir/wrk")" \
        "$(awk '$1 == "50%" { print $2 }' "$dir/wrk")" \
        "$(awk '$1 == "99%" { print $2 }' "$dir/wrk")" \
        "$(awk '/Non-2xx/ { n += $NF } /Socket errors/ { n += $4 + $6 + $8 + $10 } END { print n + 0 }' "$dir/wrk")"
}
for _ in 1 2; do
    measure plain "$plain"
    measure guarded "$guarded"
done
echo "answers that could not be recorded, or other complaints: $(grep -c 'csw:' "$dir/guarded/stderr" || true)"

longest() {
    read -r wall cpu calls < <(curl -sS "http://127.0.0.1:$measured/longest")
    printf '%-32s longest hold %6d us by the clock, %5d us of processor, %9d calls\n' "$1" "$wall" "$cpu" "$calls"
}
curl -sS -o /dev/null "http://127.0.0.1:$measured/longest"
wrk -t1 -c1 -d"${seconds}s" -s "$dir/send.lua" "http://127.0.0.1:$measured" >/dev/null
longest "sends, one at a time"
wrk -t1 -c32 -d"${seconds}s" -s "$dir/send.lua" "http://127.0.0.1:$measured" >/dev/null
longest "sends, 32 at a time"
{ printf '{"padding":"'; head -c 3000000 /dev/zero | tr '\0' x; printf '"}'; } >"$dir/large.json"
signature=$(openssl dgst -sha256 -hmac secret -r "$dir/large.json" | cut -d' ' -f1)
for _ in 1 2 3 4 5; do
    curl -sSf -H "X-Hub-Signature-256: sha256=$signature" "http://127.0.0.1:$measured/webhook" \
        --data-binary "@$dir/large.json"
done
longest "webhooks of 3 MB"
