#!/usr/bin/env bash
# What the guard costs: requests per second of sends with csw (a decision each, and its answer
# recorded) beside plain proxy_pass to the same upstream, by turns in one run.
#
#   make deps build && benches/nginx.sh [seconds per round]
#
# The gateway is examples/nginx/nginx.conf with two workers; the upstream is another nginx that
# answers every send with an id of its own.
set -euo pipefail

seconds=${1:-8}
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${CSW_BUILD:-$root/build}" && pwd)
command -v wrk >/dev/null || { echo "wrk is missing: apt-get install wrk" >&2; exit 1; }

dir=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do kill -QUIT "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap stop EXIT

free_port() {
    local port
    while port=$((20000 + RANDOM % 20000)); do
        (: </dev/tcp/127.0.0.1/$port) 2>/dev/null || { echo "$port"; return; }
    done
}
guarded=$(free_port) plain=$(free_port) upstream=$(free_port)

mkdir -m 700 "$dir/store"
printf secret >"$dir/app_secret"
printf token >"$dir/verify_token"
sed -e "s|/var/lib/csw|$dir/store|" -e "s|/etc/csw/|$dir/|" "$root/examples/nginx/csw.toml" >"$dir/csw.toml"

temp_paths=$(for kind in client_body proxy fastcgi uwsgi scgi; do
    printf ' %s_temp_path %s/%s;' "$kind" "$dir" "$kind"
done)
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
cat >"$dir/upstream.conf" <<END
user $(id -un);
worker_processes 1;
pid $dir/upstream.pid;
error_log $dir/upstream_error.log;
events { worker_connections 1024; }
http {
    $temp_paths
    access_log off;
    keepalive_requests 1000000000;
    server {
        listen 127.0.0.1:$upstream;
        default_type application/json;
        location / { return 200 '{"messaging_product":"whatsapp","messages":[{"id":"wamid.\$request_id"}]}'; }
    }
}
END
for conf in upstream nginx; do
    nginx -c "$dir/$conf.conf" -g 'daemon off;' &
    pids+=($!)
done
for port in "$upstream" "$guarded" "$plain"; do
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
curl -sSf -H "X-Hub-Signature-256: sha256=$signature" "http://127.0.0.1:$guarded/webhook" \
    --data-binary "@$dir/webhook.json"

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

echo "$(nproc) cores, $(nginx -v 2>&1 | cut -d' ' -f3), wrk -t1 -c32 -d${seconds}s"
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

kill -QUIT "${pids[1]}"
wait "${pids[1]}" || true
grep -o 'longest [a-z_]* [0-9]* [0-9]* [0-9]*' "$dir/error.log" |
    awk '{ if ($3 > held[$2]) held[$2] = $3; if ($4 > used[$2]) used[$2] = $4; calls[$2] += $5 }
         END { for (call in held) printf "longest %-14s %6d us by the clock, %5d us of processor, %9d calls\n", call, held[call], used[call], calls[call] }'
errors=$(grep '\[lua\]' "$dir/error.log" | grep -vc ' longest ' || true)
echo "answers that could not be recorded, or other complaints: $errors"
