std = "luajit"
max_line_length = 120

files["lua/csw/cdefs.lua"] = { max_line_length = false } -- generated from csw.h
files["lua/csw/nginx.lua"] = { std = "ngx_lua" }
files["lua/csw/haproxy*.lua"] = { std = "lua53", read_globals = { "core", "filter" } }
files["tests/haproxy/*.lua"] = { std = "lua53", globals = { "core" } }
files["examples/nginx/*.lua"] = { std = "ngx_lua" }
files["benches/*.lua"] = { std = "ngx_lua" }
files["tests/**/*_spec.lua"] = { std = "max+busted" }
