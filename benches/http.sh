# What the benchmarks of the gateways for HTTP share; sourced by them with their arguments. Ends what it has started
# (pids) and removes its folder (dir) when they end.

seconds=${1:-8}
root=$(cd "$(dirname "$0")/.." && pwd)
build=$(cd "${CSW_BUILD:-$root/build}" && pwd)

dir=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap stop EXIT

need() {
    local program
    for program in "$@"; do
        command -v "$program" >/dev/null || { echo "$program is missing: run make deps" >&2; exit 1; }
    done
}

free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); do
        (: </dev/tcp/127.0.0.1/$port) 2>/dev/null || { echo "$port"; return; }
    done
}

wait_for_ports() {
    local port
    for port in "$@"; do
        until (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null; do sleep 0.05; done
    done
}

# Where an nginx of this run keeps what it keeps, so that it needs nobody's rights.
temp_paths=$(for kind in client_body proxy fastcgi uwsgi scgi; do
    printf ' %s_temp_path %s/%s;' "$kind" "$dir" "$kind"
done)

# An nginx that answers every send with an id of its own.
start_upstream() {
    cat >"$dir/upstream.conf" <<CONF
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
        listen 127.0.0.1:$1;
        default_type application/json;
        location / { return 200 '{"messaging_product":"whatsapp","messages":[{"id":"wamid.\$request_id"}]}'; }
    }
}
CONF
    nginx -c "$dir/upstream.conf" -g 'daemon off;' &
    pids+=($!)
    wait_for_ports "$1"
}

# Posts a file as a signed webhook to the gateway on a port.
webhook() {
    local signature
    signature=$(openssl dgst -sha256 -hmac secret -r "$2" | cut -d' ' -f1)
    curl -sSf -H "X-Hub-Signature-256: sha256=$signature" "http://127.0.0.1:$1/webhook" --data-binary "@$2"
}

# A thousand customers write to the gateways on these ports, so that their windows are open.
customers_write() {
    local messages port
    messages=$(for ((n = 0; n < 1000; n++)); do
        printf '%s{"from":"1650555%04d","id":"wamid.in%d","timestamp":"%d","type":"text","text":{"body":"x"}}' \
            "$([[ $n == 0 ]] || echo ,)" "$n" "$n" "$(date +%s)"
    done)
    printf '{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"106540352242922"},"messages":[%s]}}]}]}' \
        "$messages" >"$dir/webhook.json"
    for port in "$@"; do
        webhook "$port" "$dir/webhook.json"
    done
}

# Sends to the gateway on a port for as long as a round, over so many connections; wrk's report goes to a file.
send_for_a_round() {
    cat >"$dir/send.lua" <<'LUA'
local body = '{"messaging_product":"whatsapp","recipient_type":"individual","to":"1650555%04d",'
  .. '"type":"text","text":{"preview_url":false,"body":"' .. ("x"):rep(180) .. '"}}'
local n = 0

function request()
  n = (n + 1) % 1000
  return wrk.format("POST", "/v23.0/106540352242922/messages",
    { ["Content-Type"] = "application/json" }, body:format(n))
end
LUA
    wrk -t1 -c"$2" -d"${seconds}s" --latency -s "$dir/send.lua" "http://127.0.0.1:$1" >"$dir/wrk"
}

measure() {
    send_for_a_round "$2" 32
    printf '%-10s %12s %10s %10s %10s\n' "$1" \
        "$(awk '/Requests\/sec/ { print $2 }' "$dir/wrk")" \
        "$(awk '$1 == "50%" { print $2 }' "$dir/wrk")" \
        "$(awk '$1 == "99%" { print $2 }' "$dir/wrk")" \
        "$(awk '/Non-2xx/ { n += $NF } /Socket errors/ { n += $4 + $6 + $8 + $10 } END { print n + 0 }' "$dir/wrk")"
}

# The table of a gateway of this version: the plain one and the guarded one by turns, by their ports.
measure_by_turns() {
    echo "$(nproc) cores, $1, wrk -t1 -c32 -d${seconds}s"
    printf '%-10s %12s %10s %10s %10s\n' path requests/s p50 p99 failed
    for _ in 1 2; do
        measure plain "$2"
        measure guarded "$3"
    done
}
