# make run: the gateway on a free port, ready to be tried.   make test: everything.   Both install what they need.

PREFIX  ?= /usr/local
DESTDIR ?=
BUILD   := build
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
ABI     := $(shell sed -n 's/^pub const CSW_ABI_VERSION: u32 = \(.*\);/\1/p' src/capi/mod.rs)
LUAS    := 5.1 5.3 5.4
RELEASE := target/release
# One artefact for each call: asked for several crate types at once, cargo drops LTO.
# No path of the machine that built it goes into a library.
CRATES  := $(or $(CARGO_HOME),$(HOME)/.cargo)
REMAP   := RUSTFLAGS="--remap-path-prefix=$(CRATES)=/cargo --remap-path-prefix=$(CURDIR)=/csw" \
           CFLAGS="-ffile-prefix-map=$(CRATES)=/cargo -ffile-prefix-map=$(CURDIR)=/csw"
LIB     := $(REMAP) cargo rustc --release --lib
# The gateways and the channels; the Luas; what builds, tests and measures.
PACKAGES := nginx libnginx-mod-http-lua haproxy kamailio kamailio-lua-modules prosody kannel kannel-extras exim4-daemon-light \
            luajit2 lua5.1 lua5.3 lua5.4 lua-busted lua-check lua-cjson \
            gcc libc6-dev pkg-config binutils valgrind gdb openssl ca-certificates curl
# What the benchmarks measure with, and beside.
BENCH_PACKAGES := wrk sip-tester time strace redis-server lua-nginx-redis libhiredis-dev libsqlite3-dev

.PHONY: all deps deps-bench build install uninstall header run story test test-rust test-lua torture fuzz lint bench bench-gateways clean

all: build

# What the system must have, from Debian's packages; the gateways, and what else is a server, come without being started.
deps: WANTED := $(PACKAGES)
deps-bench: WANTED := $(BENCH_PACKAGES)
deps deps-bench:
	@missing=$$(for package in $(WANTED); do \
	    dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || echo $$package; done); \
	if [ -n "$$missing" ]; then \
	    echo "installing:" $$missing; \
	    as_root=; [ "$$(id -u)" = 0 ] || as_root=sudo; \
	    $$as_root apt-get update -qq && \
	    $$as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends --no-remove $$missing >/dev/null; \
	fi

SOURCES := Cargo.toml Cargo.lock $(shell find src -name '*.rs')
LUA_FILES := $(shell find lua -name '*.lua')

build: $(BUILD)/lib/libcsw.so $(BUILD)/lib/libcsw.a $(LUAS:%=$(BUILD)/lib/lua/%/csw_native.so) $(BUILD)/bin/csw \
       $(BUILD)/include/csw.h $(BUILD)/lib/pkgconfig/csw.pc $(BUILD)/share/.staged $(BUILD)/share/man/.staged

# The SONAME changes with the interface; never unloaded, since threads of it may run.
$(BUILD)/lib/libcsw.so: $(SOURCES)
	@mkdir -p $(@D)
	$(LIB) --features capi --crate-type cdylib -- -C link-arg=-Wl,-soname,libcsw.so.$(ABI) -C link-arg=-Wl,-z,nodelete
	cp $(RELEASE)/libcsw.so $(BUILD)/lib/libcsw.so.$(VERSION)
	ln -sf libcsw.so.$(VERSION) $(BUILD)/lib/libcsw.so.$(ABI)
	ln -sf libcsw.so.$(ABI) $@
	@touch -h $@

# The archive as one object in which all but the csw_* functions are local: the C library inside cannot clash with the program's own.
$(BUILD)/lib/libcsw.a: $(SOURCES)
	@mkdir -p $(@D)
	$(LIB) --features capi --crate-type staticlib
	rm -f $@
	ld -r --gc-sections -u csw_version $(shell sed -n 's/^pub \(unsafe \)\?extern "C" fn \(csw_[a-z_]*\).*/-u \2/p' src/capi/*.rs) \
	    -o $(RELEASE)/csw.o $(RELEASE)/libcsw.a
	objcopy --wildcard --keep-global-symbol='csw_*' $(RELEASE)/csw.o
	ar rcs $@ $(RELEASE)/csw.o

$(BUILD)/lib/lua/%/csw_native.so: $(SOURCES)
	@mkdir -p $(@D)
	$(LIB) --features lua$(subst .,,$*) --crate-type cdylib -- -C link-arg=-Wl,-z,nodelete
	cp $(RELEASE)/libcsw.so $@

$(BUILD)/bin/csw: $(SOURCES)
	@mkdir -p $(@D)
	$(REMAP) cargo build --release --features cli --bin csw
	cp $(RELEASE)/csw $@

$(BUILD)/include/csw.h: include/csw.h
	@mkdir -p $(@D)
	cp $< $@

$(BUILD)/share/.staged: $(LUA_FILES)
	@mkdir -p $(BUILD)/share/lua
	rm -rf $(BUILD)/share/lua/*
	cp -r lua/. $(BUILD)/share/lua/
	@touch $@

# What the command says of itself: its manual and its completions.
$(BUILD)/share/man/.staged: $(BUILD)/bin/csw
	@mkdir -p $(BUILD)/share/man/man1 $(BUILD)/share/completions
	$(BUILD)/bin/csw man $(BUILD)/share/man/man1
	for shell in bash zsh fish; do $(BUILD)/bin/csw completions $$shell > $(BUILD)/share/completions/csw.$$shell || exit 1; done
	@touch $@

$(BUILD)/lib/pkgconfig/csw.pc: Makefile Cargo.toml
	@mkdir -p $(@D)
	@printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$${prefix}/lib' 'includedir=$${prefix}/include' '' 'Name: csw' \
	    'Description: the customer service window of WhatsApp for messaging gateways' 'Version: $(VERSION)' \
	    'Libs: -L$${libdir} -lcsw' 'Libs.private: -lpthread -ldl -lm -lgcc_s' 'Cflags: -I$${includedir}' > $@

# Into $(DESTDIR)$(PREFIX); Lua modules where Debian's interpreters look under /usr/local.
install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 755 $(BUILD)/bin/csw $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(BUILD)/include/csw.h $(DESTDIR)$(PREFIX)/include/
	install -m 644 $(BUILD)/lib/libcsw.a $(DESTDIR)$(PREFIX)/lib/
	install -m 755 $(BUILD)/lib/libcsw.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/
	ln -sf libcsw.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/libcsw.so.$(ABI)
	ln -sf libcsw.so.$(ABI) $(DESTDIR)$(PREFIX)/lib/libcsw.so
	sed 's|^prefix=.*|prefix=$(PREFIX)|' $(BUILD)/lib/pkgconfig/csw.pc > $(DESTDIR)$(PREFIX)/lib/pkgconfig/csw.pc
	install -d $(addprefix $(DESTDIR)$(PREFIX)/share/,man/man1 bash-completion/completions zsh/site-functions fish/vendor_completions.d)
	install -m 644 $(BUILD)/share/man/man1/csw*.1 $(DESTDIR)$(PREFIX)/share/man/man1/
	install -m 644 $(BUILD)/share/completions/csw.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/csw
	install -m 644 $(BUILD)/share/completions/csw.zsh $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_csw
	install -m 644 $(BUILD)/share/completions/csw.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/
	for lua in $(LUAS); do \
	    install -d $(DESTDIR)$(PREFIX)/lib/lua/$$lua $(DESTDIR)$(PREFIX)/share/lua/$$lua/csw && \
	    install -m 755 $(BUILD)/lib/lua/$$lua/csw_native.so $(DESTDIR)$(PREFIX)/lib/lua/$$lua/ && \
	    install -m 644 lua/csw/*.lua $(DESTDIR)$(PREFIX)/share/lua/$$lua/csw/ || exit 1; done
	install -d $(DESTDIR)$(PREFIX)/lib/prosody/modules
	install -m 644 lua/mod_csw.lua $(DESTDIR)$(PREFIX)/lib/prosody/modules/

uninstall:
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/,bin/csw include/csw.h lib/libcsw.a lib/libcsw.so lib/libcsw.so.$(ABI) \
	    lib/libcsw.so.$(VERSION) lib/pkgconfig/csw.pc $(LUAS:%=lib/lua/%/csw_native.so) share/bash-completion/completions/csw \
	    share/zsh/site-functions/_csw share/fish/vendor_completions.d/csw.fish lib/prosody/modules/mod_csw.lua) $(DESTDIR)$(PREFIX)/share/man/man1/csw*.1
	rm -rf $(addprefix $(DESTDIR)$(PREFIX)/,$(LUAS:%=share/lua/%/csw))

# Writes include/csw.h and lua/csw/cdefs.lua from the sources; a test compares them.
header:
	UPDATE=1 cargo test -q --test header

run: deps build
	@examples/nginx/run.sh

story: deps build
	@examples/nginx/story.sh

lint:
	cargo fmt --check
	cargo clippy --all-targets --features capi,cli -- -D warnings
	cargo clippy --lib --features lua54 -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc -q --no-deps --features capi,cli
	luacheck -q lua examples tests benches

test: deps build lint test-rust test-lua
	@echo "all tests passed"

test-rust:
	cargo test --features capi,cli

# One specification on four Luas, each loading the staged tree as a gateway would.
test-lua: build
	@tests/lua/run.sh

# The long form of what the other tests do in short: processes killed, power lost. Takes minutes.
torture: deps build
	CSW_TORTURE=long cargo test --features capi,cli --test torture -- --nocapture --test-threads 1

# Every target of fuzz/, one after another; what is found beside fuzz/corpus stays under fuzz/target. Needs a nightly toolchain and cargo-fuzz.
FUZZ_SECONDS ?= 600
fuzz:
	for target in $$(cargo fuzz list); do \
	    mkdir -p fuzz/target/corpus/$$target && \
	    cargo +nightly fuzz run $$target fuzz/target/corpus/$$target fuzz/corpus/$$target -- \
	        -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=2048 -timeout=60 -max_len=8192 || exit 1; done

# One table of what is to be reached, on standard output; the first run fills large stores under target/bench.
bench: deps deps-bench build
	@benches/run.sh

# Messages a second with and without the guard in the other gateways.
bench-gateways: deps deps-bench build
	benches/haproxy.sh
	benches/kamailio.sh
	benches/prosody.sh

clean:
	rm -rf $(BUILD)
	cargo clean
