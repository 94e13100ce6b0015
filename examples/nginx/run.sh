#!/usr/bin/env bash
# Runs nginx with csw and, behind it, a stand-in for the Graph API, both on free ports of this host.
#
#   run.sh [--rules guide|meta] [-- command ...]
#
# Without a command it prints what to try and runs until Ctrl-C; with one it runs the command, with
# GATEWAY and STANDIN in its environment, and stops. GRAPH_URL=https://graph.facebook.com forwards
# to the real platform instead; APP_SECRET and VERIFY_TOKEN are then those of your app.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
build=${CSW_BUILD:-$here/../../build}
rules=guide
if [[ ${1-} == --rules ]]; then
    rules=${2-}
    shift 2 || true
fi
[[ $rules == guide || $rules == meta ]] || { echo "--rules $rules? It is guide or meta" >&2; exit 1; }
if [[ ${1-} == -- ]]; then
    shift
fi

command -v nginx >/dev/null || { echo "nginx is missing: run make deps" >&2; exit 1; }
[[ -e $build/lib/libcsw.so ]] || { echo "$build/lib/libcsw.so is missing: run make build" >&2; exit 1; }
build=$(cd "$build" && pwd)

dir=$(mktemp -d)
pids=()
stop() {
    trap '' INT TERM
    for pid in "${pids[@]}"; do kill -QUIT "$pid" 2>/dev/null || true; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
    rm -rf "$dir"
}
trap stop EXIT
trap 'exit 0' INT TERM

# Below those that outgoing connections take.
free_port() {
    local port
    while port=$((20000 + RANDOM % 12000)); do
        (: </dev/tcp/127.0.0.1/$port) 2>/dev/null || { echo "$port"; return; }
    done
}

# Starts nginx with a configuration and waits until its port answers.
start() {
    local conf=$1 port=$2
    nginx -c "$dir/$conf" -e "$dir/error.log" -g 'daemon off;' &
    local pid=$!
    pids+=("$pid")
    until (: </dev/tcp/127.0.0.1/"$port") 2>/dev/null; do
        kill -0 "$pid" 2>/dev/null || { cat "$dir/error.log" >&2; exit 1; }
        sleep 0.05
    done
}

gateway_port=$(free_port)
standin_port=$(free_port)
graph=${GRAPH_URL:-http://127.0.0.1:$standin_port}
graph=${graph%/}
scheme=${graph%%://*}
host=${graph#*://}
address=$host
[[ $host == *:* ]] || address=$host:$([[ $scheme == https ]] && echo 443 || echo 80)

secret=${APP_SECRET:-$(head -c 16 /dev/urandom | od -An -tx1 | tr -d ' \n')}
token=${VERIFY_TOKEN:-csw}
mkdir -m 700 "$dir/store"
printf %s "$secret" >"$dir/app_secret"
printf %s "$token" >"$dir/verify_token"

# The example's own files, with the paths and addresses of this run.
temp_paths=$(for kind in client_body proxy fastcgi uwsgi scgi; do
    printf '\\n    %s_temp_path %s/%s;' "$kind" "$dir" "$kind"
done)
sed -e "s|/var/lib/csw|$dir/store|" -e "s|/etc/csw/|$dir/|" -e "s|^rules = .*|rules = \"$rules\"|" \
    "$here/csw.toml" >"$dir/csw.toml"
if [[ -z ${GRAPH_URL-} ]]; then
    sed -i '1i test_clock = true # X-CSW-At sets the time' "$dir/csw.toml"
fi
sed -e "s|^user .*|user $(id -un);|" -e "s|^http {|&$temp_paths|" \
    -e "s|/run/nginx.pid|$dir/nginx.pid|" -e "s|/var/log/nginx/|$dir/|" \
    -e "s|/usr/local/share/lua/5.1|$build/share/lua|g" -e "s|/usr/local/lib|$build/lib|" -e "s|/etc/csw.toml|$dir/csw.toml|" \
    -e "s|listen 8080|listen 127.0.0.1:$gateway_port|" -e "s|127.0.0.1:8080|127.0.0.1:$gateway_port|" \
    -e "s|graph.facebook.com:443|$address|" -e "s|https://graph;|$scheme://graph;|" \
    -e "s|graph.facebook.com;|${host%%:*};|" "$here/nginx.conf" >"$dir/nginx.conf"
sed -e "s|^user .*|user $(id -un);|" -e "s|^http {|&$temp_paths|" \
    -e "s|/run/graph.pid|$dir/graph.pid|" -e "s|/var/log/nginx/|$dir/|" \
    -e "s|/usr/share/csw/examples/nginx|$here|" -e "s|127.0.0.1:8081|127.0.0.1:$standin_port|" \
    "$here/graph.conf" >"$dir/graph.conf"

export GATEWAY=http://127.0.0.1:$gateway_port STANDIN=http://127.0.0.1:$standin_port
if [[ -z ${GRAPH_URL-} ]]; then
    CSW_STANDIN_RULES=${rules%%-*} CSW_STANDIN_SECRET=$secret CSW_STANDIN_WEBHOOK=$GATEWAY/webhook \
        start graph.conf "$standin_port"
fi
start nginx.conf "$gateway_port"

if (($#)); then
    "$@"
    exit
fi

auth=
[[ -z ${GRAPH_URL-} ]] || auth=" -H \"Authorization: Bearer \$TOKEN\""
send="curl -i $GATEWAY/v23.0/106540352242922/messages$auth -H 'Content-Type: application/json'"
text='"type":"text","text":{"body":"Yes, in three colors."}'
cat <<END
nginx with csw ($rules) listens on $GATEWAY; its files are in $dir.
END
if [[ -z ${GRAPH_URL-} ]]; then
    cat <<END

A customer's message:
  curl $STANDIN/standin/customer -d '{"from":"16505551234","text":"Another color?"}'
END
else
    cat <<END

Sends go to $GRAPH_URL. Let the platform post its webhooks to $GATEWAY/webhook.
END
fi
cat <<END

A free-form send that passes, to a customer who wrote:
  $send \\
    -d '{"messaging_product":"whatsapp","to":"16505551234",$text}'

One that is stopped, to a customer who never wrote:
  $send \\
    -d '{"messaging_product":"whatsapp","to":"16505559999",$text}'

A template, which passes:
  $send \\
    -d '{"messaging_product":"whatsapp","to":"16505559999","type":"template","template":{"name":"summer_promotion","language":{"code":"en_US"}}}'

A workflow's two branches, of which the one that fits is sent:
  curl -i $GATEWAY/v23.0/csw/branch$auth -d '{"business":"106540352242922","customer":"16505551234","open":{$text},"closed":{"type":"template","template":{"name":"summer_promotion","language":{"code":"en_US"}}}}'

The window, and what was counted; decisions are logged in $dir/csw.log:
  curl '$GATEWAY/csw/window?business=106540352242922&customer=16505551234'
  curl $GATEWAY/csw/metrics

Ctrl-C stops it.
END
wait
