-- csw in HAProxy: loaded for each thread by haproxy.cfg.
require("csw.haproxy").start("/etc/csw.toml")
