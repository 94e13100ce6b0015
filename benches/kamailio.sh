#!/usr/bin/env bash
# What the guard costs: SIP MESSAGE requests per second through Kamailio with csw (guarded: a decision each, and its
# outcome on disk before the reply goes back; at-once: wait_for_sends = false), beside plain relaying to the same
# trunk, by turns in one run; and for how long a call of csw held a process.
#
#   make deps deps-bench build && benches/kamailio.sh [messages per round]
#
# Each gateway is examples/kamailio with eight processes; SIPp is the clients, 64 messages at a time, and the trunk.
# Kamailio keeps a transaction for five seconds after its reply, some 10 KiB each: the gateways have 1 GiB for them.
set -euo pipefail

. "$(dirname "$0")/common.sh"
need kamailio sipp
messages=${1:-20000}

declare -A port=([plain]=$(free_port) [guarded]=$(free_port) [at-once]=$(free_port))
trunk=$(free_port)

mkdir -m 700 "$dir/store"
sed -e "s|/var/lib/csw|$dir/store|" "$root/examples/kamailio/csw.toml" >"$dir/csw.toml"

# Lua 5.1 has no finer clock than Kamailio's. Each process keeps its longest call, and tells a file of a longer one.
cat >"$dir/held.lua" <<'END'
local csw = require "csw.kamailio"

local longest = {}

local function seconds()
  return tonumber(KSR.pv.get("$TV(Sn)"))
end

for _, name in ipairs({ "send", "received", "replied" }) do
  local call = csw[name]
  csw[name] = function()
    local began = seconds()
    local result = call()
    local took = seconds() - began
    if took > (longest[name] or 0) then
      longest[name] = took
      local file = assert(io.open(HELD .. "." .. name .. "." .. KSR.pv.get("$pp"), "w"))
      file:write(("%.3f\n"):format(took * 1000))
      file:close()
    end
    return result
  end
end
END

# The example's files for each gateway.
for name in "${!port[@]}"; do
    mkdir "$dir/$name"
    sed -e "s|/run/kamailio|$dir/$name|" -e "s|/etc/kamailio|$dir/$name|" -e "s|0.0.0.0:5060|127.0.0.1:${port[$name]}|" \
        "$root/examples/kamailio/kamailio.cfg" >"$dir/$name/kamailio.cfg"
    sed -e "s|203.0.113.7:5060|127.0.0.2:$trunk|" -e "s|203.0.113.7|127.0.0.2|" -e "s|/etc/csw.toml|$dir/csw.toml|" \
        -e 's|^local APPLICATION = .*|local APPLICATION|' "$root/examples/kamailio/csw.lua" >"$dir/$name/csw.lua"
    sed -i "1i HELD = \"$dir/$name/held\" dofile(\"$dir/held.lua\")" "$dir/$name/csw.lua"
done
sed -i 's|wait_for_sends = true|wait_for_sends = false|' "$dir/at-once/csw.lua"
sed -i -e 's|if csw.send() then|if KSR.tm.t_newtran() > 0 then|' -e '/t_on_reply/d' "$dir/plain/csw.lua"

cat >"$dir/message.xml" <<'END'
<?xml version="1.0" encoding="UTF-8"?>
<scenario name="message">
  <send retrans="500" start_rtd="1"><![CDATA[
MESSAGE sip:[field0]@[remote_ip]:[remote_port] SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];rport;branch=[branch]
Max-Forwards: 70
From: <sip:[field1]@[local_ip]>;tag=[call_number]
To: <sip:[field0]@[remote_ip]>
Call-ID: [call_id]
CSeq: 1 MESSAGE
Content-Type: text/plain
Content-Length: [len]

Yes, in three colors: the one that you saw, a darker one, and one that is new. Shall we keep it for you until Friday?
]]></send>
  <recv response="100" optional="true"/>
  <recv response="200" rtd="1"/>
</scenario>
END
cat >"$dir/trunk.xml" <<'END'
<?xml version="1.0" encoding="UTF-8"?>
<scenario name="trunk">
  <recv request="MESSAGE"/>
  <send><![CDATA[
SIP/2.0 200 OK
[last_Via:]
[last_From:]
[last_To:];tag=[call_number]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
</scenario>
END
{ echo SEQUENTIAL; for ((n = 0; n < 1000; n++)); do printf '1650555%04d;106540352242922\n' "$n"; done; } >"$dir/sends.csv"
{ echo SEQUENTIAL; for ((n = 0; n < 1000; n++)); do printf '106540352242922;1650555%04d\n' "$n"; done; } >"$dir/acts.csv"

cd "$dir"
sipp -sf trunk.xml -i 127.0.0.2 -p "$trunk" -nostdin -deadcall_wait 0 >/dev/null 2>&1 &
pids+=($!)
export LUA_PATH="$build/share/lua/?.lua;$build/share/lua/?/init.lua" LUA_CPATH="$build/lib/lua/5.1/?.so"
for name in "${!port[@]}"; do
    kamailio -f "$dir/$name/kamailio.cfg" -DD -E -m 1024 -Y "$dir/$name" >"$dir/$name/log" 2>&1 &
    pids+=($!)
done
wait_for_ports "${port[@]}"

# measure WHAT GATEWAY FROM FILE MESSAGES
measure() {
    local name=$1 from=$3 file=$4 count=$5 began took
    began=$(date +%s%N)
    sipp -sf message.xml -inf "$file" -i "$from" "127.0.0.1:${port[$2]}" -m "$count" -r 100000 -l 64 -nostdin \
        -trace_rtt -rtt_freq 1 >sipp.out 2>&1 || true
    took=$((($(date +%s%N) - began) / 1000000))
    local times=(message_*_rtt.csv)
    sed 1d "${times[0]}" | cut -d';' -f2 | sort -n >times
    printf '%-10s %12d %10s %10s %10d\n' "$name" $((count * 1000 / took)) "$(percentile 50)" "$(percentile 99)" \
        $((count - $(wc -l <times)))
    rm -f "${times[@]}"
}
percentile() {
    local lines
    lines=$(wc -l <times)
    printf '%s ms' "$(sed -n "$(((lines * $1 + 99) / 100))p" times)"
}

echo "$(nproc) cores, $(kamailio -v | head -n 1 | cut -d' ' -f2-3), $(sipp -v | sed -n 's/^ *\(SIPp v[^ -]*\).*/\1/p'), $messages messages a round"
printf '%-10s %12s %10s %10s %10s\n' path messages/s p50 p99 failed
measure received guarded 127.0.0.2 acts.csv 1000
for _ in 1 2; do
    for name in plain guarded at-once; do
        measure "$name" "$name" 127.0.0.1 sends.csv "$messages"
    done
done

for name in guarded at-once; do
    for call in send received replied; do
        files=("$name/held.$call".*)
        [[ ! -e ${files[0]} ]] || echo "$name: longest call of $call(): $(sort -n "${files[@]}" | tail -n 1) ms"
    done
    echo "$name: decisions in the log: $(grep -c 'csw: {' "$name/log"), complaints: $(grep -c 'ERROR' "$name/log" || true)"
done
