# What the benchmarks of the gateways for HTTP share; sourced by them with their arguments.

. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
seconds=${1:-8}

# An nginx that answers every send with an id of its own.
start_upstream() {
    cat >"$dir/upstream.conf" <<CONF
user $(id -un);
worker_processes 1;
pid $dir/upstream.pid;
error_log $dir/upstream_error.log;
events { worker_connections 1024; }
http {
    $(temp_paths)
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

# Of wrk's report.
requests() { awk '/ requests in / { print $1 }' "$dir/wrk"; }
requests_per_second() { awk '/Requests\/sec/ { print $2 }' "$dir/wrk"; }
failed() { awk '/Non-2xx/ { n += $NF } /Socket errors/ { n += $4 + $6 + $8 + $10 } END { print n + 0 }' "$dir/wrk"; }
latency() { awk -v share="$1" '$1 == share { print $2 }' "$dir/wrk"; }

measure() {
    send_for_a_round "$2" 32
    printf '%-10s %12s %10s %10s %10s\n' "$1" "$(requests_per_second)" "$(latency 50%)" "$(latency 99%)" "$(failed)"
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
