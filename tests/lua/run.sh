#!/bin/sh
# One specification on four Luas, each loading the staged tree as a gateway would; on LuaJIT once more, watched by valgrind.
set -eu
cd "$(dirname "$0")/../.."
build=${CSW_BUILD:-$PWD/build}
failed=0

# Runs the specification by a command whose last word is a Lua.
specified_by() {
  for lua in "$@"; do :; done
  case $lua in
    luajit) native="$build/lib/?.so" ;;
    *) native="$build/lib/lua/${lua#lua}/?.so" ;;
  esac
  printf '%s\n' "== $*"
  # Nothing of Lua's own variables reaches the run; the defaults stand behind ours.
  env -u LUA_INIT LUA_PATH="$build/share/lua/?.lua;$build/share/lua/?/init.lua;;" LUA_CPATH="$native;;" \
    "$@" "$(command -v busted)" --ignore-lua --output=plainTerminal tests/lua/csw_spec.lua || failed=1
}

for lua in luajit lua5.1 lua5.3 lua5.4; do
  specified_by "$lua"
done
# Only through its ffi can a Lua reach past a struct or a buffer of the library. A turn for each thread: who polls without
# a pause would keep the recorder from its work.
specified_by valgrind --fair-sched=yes --quiet --error-exitcode=1 --leak-check=full --show-leak-kinds=definite \
  --errors-for-leak-kinds=definite luajit
exit $failed
