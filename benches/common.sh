# What the benchmarks share; sourced by them. Ends what it has started (pids) and removes its folder (dir) when they end.
#
# The standard output of those that `make bench` runs is rows for benches/table.awk; what else there is to see goes to
# standard error.

shopt -s inherit_errexit
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
build=$(cd "${CSW_BUILD:-$root/build}" && pwd)
stores=${CSW_BENCH_STORES:-$root/target/bench}

# On a disk: what is synced to memory would say nothing.
dir=$(mktemp -d "${TMPDIR:-/var/tmp}/csw-bench.XXXXXX")
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
        command -v "$program" >/dev/null || { echo "$program is missing: run make deps deps-bench" >&2; exit 1; }
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
temp_paths() {
    local kind
    for kind in client_body proxy fastcgi uwsgi scgi; do
        printf ' %s_temp_path %s/%s;' "$kind" "$dir" "$kind"
    done
}

# row WORK CSW BESIDE NAME UNIT LIMIT: what benches/table.awk takes.
row() {
    local IFS=$'\t'
    echo "$*"
}

# A store of so many contacts whose windows are open or closed. It is kept for later runs, but not for so long that windows
# close, and not for another library.
store() {
    local at=$stores/$1-$2
    if [[ ! $(find "$at/filled" -newer "$build/lib/libcsw.so" -mmin -600 2>/dev/null) ]]; then
        rm -rf "$at"
        mkdir -p "$at"
        (cd "$root" && cargo bench -q --bench fill -- contacts "$at" "$1" "${@:2}") >&2
        touch "$at/filled"
    fi
    echo "$at"
}

# A program of benches/c, with the staged library and the libraries that are named.
compile() {
    cc -std=c99 -Wall -Wextra -Werror -pedantic -O2 -I "$build/include" -I "$root/tests/c" -o "$dir/$1" "$root/benches/c/$1.c" \
        -L "$build/lib" -Wl,-rpath,"$build/lib" -lcsw -lpthread "${@:2}"
}

# Redis as Debian has it, on $redis_port and $redis_socket; it syncs nothing.
start_redis() {
    redis_port=$(free_port) redis_socket=$dir/redis.sock
    redis-server --port "$redis_port" --bind 127.0.0.1 --unixsocket "$redis_socket" --dir "$dir" --save '' --appendonly no \
        --logfile "$dir/redis.log" &
    pids+=($!)
    wait_for_ports "$redis_port"
}

# Puts keys into it, those of standard input.
redis_keys() {
    awk '{ printf "SET %s 1\r\n", $1 }' | redis-cli -s "$redis_socket" --pipe >"$dir/redis.filled"
    grep -q 'errors: 0' "$dir/redis.filled"
}

# The keys of so many contacts.
contact_keys() {
    awk -v count="$1" 'BEGIN { for (n = 0; n < count; n++) printf "106540352242922:%.0f\n", 10000000000 + n }'
}
