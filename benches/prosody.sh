#!/usr/bin/env bash
# What the guard costs in Prosody: messages per second from clients to a component with csw (a decision each, and its
# acceptance recorded) beside the same component without it, by turns in one run; and how long one message holds Prosody.
#
#   make deps deps-bench build && benches/prosody.sh [messages per client and round]
#
# Prosody is examples/prosody/prosody.cfg.lua, without TLS and passwords; four clients and the component are one program.
set -euo pipefail

. "$(dirname "$0")/common.sh"
need prosody
messages=${1:-20000}

clients=$(free_port) components=$(free_port)

mkdir "$dir/store" "$dir/data" "$dir/modules"
cp -r "$build/share/lua/csw" "$build/lib/lua/5.4/csw_native.so" "$dir/"
cp "$build/share/lua/mod_csw.lua" "$root/benches/prosody/mod_stopwatch.lua" "$dir/modules/"
sed "s|/var/lib/csw|$dir/store|" "$root/examples/prosody/csw.toml" >"$dir/csw.toml"
{
    echo "data_path = \"$dir/data\" c2s_interfaces = { \"127.0.0.1\" } c2s_ports = { $clients } allow_unencrypted_plain_auth = true"
    echo "insecure_open_authentication = \"Yes please, I know what I'm doing!\" limits = {}"
    sed -e 's|"tls",||' -e 's|"internal_hashed"|"insecure"|' -e 's|c2s_require_encryption = true|c2s_require_encryption = false|' \
        -e "s|/usr/local/lib/prosody/modules|$dir/modules|" -e "s|/run/prosody/|$dir/|" -e "s|/var/log/prosody/|$dir/|" \
        -e "s|\"/etc/csw.toml\"|\"$dir/csw.toml\"|" -e "s|5347|$components|" \
        -e 's|modules_enabled = { "csw" }|modules_enabled = { "csw", "stopwatch" }|' "$root/examples/prosody/prosody.cfg.lua"
    echo 'Component "plain.example.com" component_secret = "plain" modules_enabled = { "stopwatch" }'
} >"$dir/prosody.cfg.lua"

as_user=()
if [[ $(id -u) == 0 ]]; then
    chown -R prosody: "$dir"
    as_user=(setpriv --reuid=prosody --regid=prosody --clear-groups)
fi
LUA_PATH_5_4="$dir/?.lua;$dir/?/init.lua;;" LUA_CPATH_5_4="$dir/?.so;;" \
    "${as_user[@]}" prosody -F --config "$dir/prosody.cfg.lua" >/dev/null 2>&1 &
pids+=($!)
wait_for_ports "$clients" "$components"

echo "$(nproc) cores, Prosody $(sed -n 's/.*Prosody version //p' "$dir/prosody.log"), 4 clients of $messages messages each"
printf '%-10s %12s %14s %14s %14s\n' path messages/s 'held p50, us' 'held p99, us' 'longest, us'
measure() {
    local rate held rounds
    rounds=$(grep -c 'stopwatch' "$dir/prosody.log" || true)
    rate=$(lua5.4 "$root/benches/prosody/load.lua" "$clients" "$components" "$messages" "$2" "$3")
    until [[ $(grep -c 'stopwatch' "$dir/prosody.log") -gt $rounds ]]; do sleep 0.05; done
    held=$(sed -n 's/.*:stopwatch\tinfo\theld //p' "$dir/prosody.log" | tail -n 1)
    printf '%-10s %12s %14s %14s %14s\n' "$1" "$rate" $held
}
for _ in 1 2; do
    measure plain plain.example.com plain
    measure guarded whatsapp.example.com "the component's own"
done

echo "complaints in the log: $(grep -c 'csw.\(error\|warn\)' "$dir/prosody.log" || true)"
