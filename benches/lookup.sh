#!/bin/sh
# check through LuaJIT beside ngx.shared.DICT:get over the same keys in the same nginx worker, at 1,000,000 and 10,000,000 customers.
set -eu
cd "$(dirname "$0")/.."
build=${CSW_BUILD:-$PWD/build}
stores=${CSW_BENCH_FOLDER:-$PWD/target/bench}
counts=${*:-1000000 10000000}
work=$(mktemp -d)
chmod 755 "$work"
trap 'for pid in "$work"/*.pid; do test -f "$pid" && kill "$(cat "$pid")"; done; rm -rf "$work"' EXIT INT TERM

for count in $counts; do
  if [ ! -f "$stores/$count/filled" ]; then
    mkdir -p "$stores/$count"
    cargo bench -q --bench fill -- "$stores/$count" "$count"
    touch "$stores/$count/filled"
  fi
done

printf '%s\n' "| customers | csw check, ns | ngx.shared.DICT:get, ns | csw / dict | csw check of unknown customers, ns | dict get of them, ns |"
printf '%s\n' "|---|---|---|---|---|---|"
for count in $counts; do
  cat > "$work/nginx.conf" <<CONF
include /etc/nginx/modules-enabled/*.conf;
pid $work/$count.pid;
user $(id -un);
error_log $work/error.log warn;
worker_processes 1;
events { worker_connections 16; }
http {
  access_log off;
  client_body_temp_path $work/body; proxy_temp_path $work/proxy; fastcgi_temp_path $work/fastcgi;
  uwsgi_temp_path $work/uwsgi; scgi_temp_path $work/scgi;
  lua_package_path "$build/share/lua/?.lua;$build/share/lua/?/init.lua;;";
  lua_package_cpath "$build/lib/?.so;;";
  lua_shared_dict windows $((count / 5000 + 64))m;
  server {
    listen unix:$work/$count.socket;
    location / { content_by_lua_file $PWD/benches/lookup.lua; }
  }
}
CONF
  nginx -c "$work/nginx.conf"
  curl -sSf --max-time 580 --unix-socket "$work/$count.socket" "http://bench/?count=$count&store=$stores/$count" ||
    { cat "$work/error.log" >&2; exit 1; }
  kill -QUIT "$(cat "$work/$count.pid")"
  while [ -f "$work/$count.pid" ]; do sleep 0.1; done
done
