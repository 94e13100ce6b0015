std = "luajit"
max_line_length = 120

files["lua/csw/cdefs.lua"] = { max_line_length = false } -- generated from csw.h
files["lua/csw/nginx*.lua"] = { std = "ngx_lua" }
files["lua/csw/mail.lua"] = { std = "ngx_lua" }
files["lua/csw/smtp.lua"] = { std = "ngx_lua" }
files["lua/csw/prosody.lua"] = { std = "lua54" }
files["lua/mod_csw.lua"] = { std = "lua54", globals = { "module" }, read_globals = { "prosody" } }
files["benches/prosody/*.lua"] = { std = "lua54", globals = { "module" } }
files["examples/prosody/*.lua"] = { global = false } -- what Prosody's configuration sets are globals
files["lua/csw/haproxy*.lua"] = { std = "lua53", read_globals = { "core", "filter" } }
files["benches/haproxy/*.lua"] = { std = "lua53", globals = { "core" } }
files["examples/nginx/*.lua"] = { std = "ngx_lua" }
files["benches/*.lua"] = { std = "ngx_lua" }
files["tests/**/*_spec.lua"] = { std = "max+busted" }
files["lua/csw/kamailio.lua"] = { read_globals = { "KSR" } }
files["lua/csw/sip.lua"] = { read_globals = { "KSR" } }
files["examples/kamailio/*.lua"] = { read_globals = { "KSR" }, globals = { "ksr_request_route", "ksr_replied" } }
