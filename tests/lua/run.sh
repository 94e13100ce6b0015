#!/bin/sh
# One specification on four Luas, each loading the staged tree as a gateway would.
set -eu
cd "$(dirname "$0")/../.."
build=${CSW_BUILD:-$PWD/build}
failed=0
for lua in luajit lua5.1 lua5.3 lua5.4; do
  case $lua in
    luajit) native="$build/lib/?.so" ;;
    *) native="$build/lib/lua/${lua#lua}/?.so" ;;
  esac
  printf '%s\n' "== $lua"
  # Nothing of Lua's own variables reaches the run; the defaults stand behind ours.
  env -u LUA_INIT LUA_PATH="$build/share/lua/?.lua;$build/share/lua/?/init.lua;;" LUA_CPATH="$native;;" \
    "$lua" "$(command -v busted)" --ignore-lua --output=plainTerminal tests/lua/csw_spec.lua || failed=1
done
exit $failed
