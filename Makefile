# staplegun: build, see it work, test, install.
#
#   make          builds the library and the program
#   make demo     shows a server that cannot staple, stapling
#   make check    runs the tests, against real servers and every libssl, some parts at a time
#   make check-faults  breaks the library inside a host, in every way
#   make check-memory  everything under valgrind, and 10,000 handshakes
#   make soak     500,000 handshakes while responses are renewed; COUNT=
#   make check-images  hostile hosts on every libssl, several in one process, QUIC,
#                 BoringSSL, AWS-LC
#   make check-judges  test-suites of others, with the library and without
#   make check-node  Node.js 20, 22 and 24 with an OpenSSL of their own, by packaging/node.cjs
#   make check-programs  holds every server of docs/programs.md to its row
#   make musl     the library for musl, in target/musl
#   make check-musl  the C programs, hostile hosts, Redis, HAProxy and nginx on musl
#   make arm64    library and program for arm64, in target/arm64
#   make check-arm64  these, the C programs, Redis, Python and s_server, by an emulator
#   make check-distributions  holds the servers of Debian 11, 13 and sid to theirs
#   make proof    fuzz, sanitize and model: an hour of looking for what no test asks for
#   make fuzz     looks for inputs that break a reader; docs/proof.md explains it
#   make mutants  changes the code in small ways, and tells what no test notices; PART=, DIFF=,
#                 AGAIN=1
#   make matrix   runs the tests of every libssl and writes MATRIX.md
#   make bench    measures what it costs; docs/performance.md explains the table
#   make bench-hold      holds its instructions to benches/baseline.json; check has it and
#                 small counts of the rest, as bench-check
#   make bench-baseline  writes that anew, in the commit whose cost it shows
#   make header   writes include/staplegun.h
#   make man      writes packaging/man and packaging/completions
#   make packages .deb packages, tarball, wheel, .rpm, .apk and Arch's, in target/packages
#   make packages-musl  tarball, wheel and .apk for musl, in target/packages/musl
#   make packages-arm64  all of these for arm64, in target/packages/arm64
#   make check-packages  makes all but .deb twice, and installs each as a user would
#   make check-packages-musl check-packages-arm64  the same for these, for arm64 with .deb
#   make check-deb    installs, upgrades and removes the .deb packages in other Debians
#   make check-fleet  20 agents and 200 certificates on a real Redis and a real Valkey, Sentinel,
#                 a network that is cut, and the protocol in every order; it changes the network:
#                 as root
#   make check-systemd  types what the documents say on a Debian under systemd
#   make check-containers  runs examples/containers as they are printed
#   make release-check   whether the tree is ready to be tagged
#   make install  DESTDIR= PREFIX=/usr/local SYSCONFDIR=/etc
#   make uninstall  the same; what you wrote in SYSCONFDIR stays
#
# demo and check install the Debian packages that they need; each says which.

PREFIX ?= /usr/local
DESTDIR ?=
LIBDIR ?= $(PREFIX)/lib
SYSCONFDIR ?= /etc
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
# Without make's flags: cargo would wait for jobs of `make -j2`, which are not handed to it.
CARGO ?= MAKEFLAGS= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)

VERSION := $(shell sed -n '/^\[workspace.package\]/,/^version/s/^version = "\(.*\)"/\1/p' Cargo.toml)
LIBRARY := $(TARGET)/release/libstaplegun.so
MACHINE := $(shell uname -m)
ARM64 = $(TARGET)/arm64/aarch64-unknown-linux-gnu/release
MUSL_LIBRARY = $(TARGET)/musl/library/$(MACHINE)-unknown-linux-musl/release/libstaplegun.so

.PHONY: all library program check-fleet musl check-musl musl-smoke arm64 check-arm64 demo check check-rust check-rust-built check-c check-examples check-judges check-judges-quick check-node node-smoke check-programs check-distributions check-faults faults-smoke check-memory memory-smoke soak proof fuzz fuzz-smoke sanitize model mutants mutants-smoke matrix bench bench-smoke bench-check bench-hold bench-baseline header man install uninstall needed packages packages-musl packages-arm64 deb-arm64 check-packages check-packages-musl check-packages-arm64 deb check-deb deb-smoke check-systemd systemd-smoke check-containers containers-smoke release-check clean check-images

all: library program

# By itself, so that nothing is compiled in that only the program needs.
library:
	$(CARGO) build --release --locked -p staplegun

program:
	$(CARGO) build --release --locked -p staplegun-cli

# For programs on musl, such as Alpine's: by Debian's compiler, with its standard library.
musl: needed
	tools/musl

# On a machine that is none, by Debian's compilers and packages for it.
arm64: needed
	tools/arm64

needed:
	tools/debian-packages

demo: needed all
	tools/demo $(LIBRARY) $(TARGET)/release/staplegun

# One part more at a time than there are processors, unless make was told how many: much of each
# waits. What takes longest begins first: the program is linked, and the tests compiled, in
# directories of their own, so that one cargo does not wait for the other, while what needs neither
# runs. What others' crates were compiled to is kept outside the clone.
check: needed
	tools/compiled bring $(TARGET)
	$(MAKE) --no-print-directory \
	    $(if $(filter -j%,$(MAKEFLAGS)),,-j$(shell echo $$(($$(nproc) + 1))) -Otarget) \
	    library check-rust-built musl-smoke program check-c memory-smoke node-smoke check-rust \
	    bench-check systemd-smoke containers-smoke deb-smoke fuzz-smoke mutants-smoke faults-smoke \
	    check-judges-quick check-examples
	tools/where $@ --images
	tools/compiled keep $(TARGET)

# What needs neither library nor program. Formatting and lints stand first: they are the quickest to
# fail.
check-rust-built:
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features --locked -- -D warnings
	$(CARGO) test --workspace --all-features --locked --no-run
	# The model is built of the tree's own files; `make model` runs it.
	cd proof && $(CARGO) fmt --check
	cd proof && $(CARGO) clippy --lib --tests --locked --target-dir $(abspath $(TARGET)) -- -D warnings

# The servers run as other users, who need not be able to enter this directory: hence the copy. The
# program is what the quick packages are made of. Most of a test waits for servers and agents:
# twice as many run at a time as there are processors.
check-rust: check-rust-built all
	copy=$$(mktemp -d) && trap 'rm -r "$$copy"' EXIT && \
	    chmod 755 "$$copy" && cp $(LIBRARY) "$$copy" && \
	    STAPLEGUN_LIB="$$copy/libstaplegun.so" \
	    RUST_TEST_THREADS=$${RUST_TEST_THREADS:-$$((2 * $$(nproc)))} \
	    $(CARGO) test --workspace --all-features --locked

# The same C programs against the real libssl of each version, and through the
# shim; hostile hosts on two of them, and on all in check-images. The images are built
# once and cached outside the clone.
check-c: library
	tools/matrix --check
	ctest/header-check
	ctest/run --shim $(LIBRARY)
	ctest/hosts/run --shim $(LIBRARY) --quick
	ctest/hosts/run --shim $(LIBRARY) --images 3.6,4.0 --only chain

# Panics, failing functions and memory that cannot be had, on every libssl; the smoke run
# on two. The test build is one that a release refuses to be; the rest of the workspace is named
# beside it so that it is made of what the tests are.
check-faults faults-smoke: library
	$(CARGO) build --locked --workspace --all-features --lib
	ctest/faults/run --shim $(LIBRARY) --test-build $(TARGET)/debug/libstaplegun.so \
	    $(if $(filter faults-smoke,$@),--quick)

# What is left behind: leaks and errors of memory, and growth. The smoke run has counts
# that are enough to show a leak per handshake.
check-memory: needed library
	ctest/run --valgrind --quick --shim $(LIBRARY)
	ctest/memory/run --shim $(LIBRARY) --valgrind 10000

soak: library
	ctest/memory/run --shim $(LIBRARY) --soak $(or $(COUNT),500000)

# On musl all of check-c, and servers that are built for it, by the same tests as Debian's. The
# smoke run is the C programs on the libssl of a wheel for Alpine.
musl-smoke: needed
	tools/musl library
	ctest/run --musl --quick --shim $(MUSL_LIBRARY) --images wheel-psycopg2-2.9.9

check-musl: needed
	tools/musl library faults
	ctest/run --musl --shim $(MUSL_LIBRARY)
	ctest/hosts/run --musl --shim $(MUSL_LIBRARY)
	ctest/faults/run --musl --quick --shim $(MUSL_LIBRARY) \
	    --test-build $(subst library,faults,$(subst release,debug,$(MUSL_LIBRARY)))
	copy=$$(mktemp -d) && trap 'rm -r "$$copy"' EXIT && \
	    chmod 755 "$$copy" && cp $(MUSL_LIBRARY) "$$copy" && tools/musl-servers "$$copy/servers" && \
	    export STAPLEGUN_SERVERS="$$copy/servers" STAPLEGUN_OPENSSL="$$copy/servers" \
	        STAPLEGUN_LIB="$$copy/libstaplegun.so" && \
	    $(CARGO) test -p staplegun --locked --test redis --test haproxy --test nginx && \
	    $(CARGO) test -p staplegun --locked --test programs -- redis haproxy nginx && \
	    $(CARGO) test -p staplegun-cli --locked --test agent -- real::redis
	tools/where $@ --musl

# Everything that is for arm64 runs by qemu, beside this machine's own responders and clients.
check-arm64: arm64
	$(CARGO) build --locked --workspace --all-features --example publish
	tools/arm64-run ctest/run --arm64 --quick --shim $(ARM64)/libstaplegun.so
	copy=$$(mktemp -d) && trap 'rm -r "$$copy"' EXIT && \
	    chmod 755 "$$copy" && cp $(ARM64)/libstaplegun.so $(ARM64)/staplegun "$$copy" && \
	    export STAPLEGUN_LIB="$$copy/libstaplegun.so" STAPLEGUN_PROGRAM="$$copy/staplegun" && \
	    test="$(CARGO) test --workspace --all-features --locked" && \
	    eval "$$test --test golden -- --skip the_readme_tells_how_large_it_is" && \
	    tools/arm64-run sh -ec "$$test --test redis --test python; \
	        $$test --test programs -- servers::redis servers::python servers::openssl_s_server; \
	        $$test --test agent -- served::"
	tools/where $@ --arm64

memory-smoke: needed library
	ctest/memory/run --shim $(LIBRARY) --valgrind 40 --soak 3000

# Processes with several libssls, QUIC, and libssls that are not OpenSSL: wheels
# from PyPI, MariaDB, and builds of some minutes that are cached like the images.
# Hostile hosts on every image. Then Debian's servers once more, on other OpenSSLs
# than Debian's.
check-images: needed library
	ctest/hosts/run --shim $(LIBRARY)
	ctest/wheels/pairs --shim $(LIBRARY)
	ctest/wheels/run --shim $(LIBRARY)
	ctest/quic/run --shim $(LIBRARY)
	ctest/foreign_libssl/run --shim $(LIBRARY)
	copy=$$(mktemp -d) && trap 'rm -r "$$copy"' EXIT && \
	    chmod 755 "$$copy" && cp $(LIBRARY) "$$copy" && \
	    for version in 3.5 3.6; do \
	        libssl=$$(tools/libssl-images $$version | cut -f 2) && \
	        mkdir "$$copy/$$version" && cp "$$(dirname "$$libssl")"/lib*.so* "$$copy/$$version" && \
	        STAPLEGUN_OPENSSL="$$copy/$$version" STAPLEGUN_LIB="$$copy/libstaplegun.so" \
	            $(CARGO) test -p staplegun --locked --test programs || exit 1; \
	    done

check-examples: all
	examples/check $(LIBRARY)

# CPython, pyOpenSSL, Perl, Ruby and PHP must find with the library what they find
# without. The suites are fetched once, from Debian and PyPI; check has a part of each.
check-judges check-judges-quick: needed library
	$(CARGO) build --locked --workspace --all-features --example publish
	ctest/judges/run --shim $(LIBRARY) --publish $(TARGET)/debug/examples/publish \
	    $(if $(filter check-judges-quick,$@),--quick)

# What Node.js with an OpenSSL of its own loads to staple, in servers of each kind; the smoke run
# is one build, the machine's if there is one.
check-node node-smoke: needed
	ctest/node/run $(if $(filter node-smoke,$@),--quick)

# Every server from its start to its stop; check has the quick part of it.
# STAPLEGUN_WRITE_PROGRAMS=1 writes the table of docs/programs.md anew.
check-programs: needed library
	STAPLEGUN_LIB=$(abspath $(LIBRARY)) STAPLEGUN_PROGRAMS=full \
	    $(CARGO) test -p staplegun --locked --test programs

# The same for the servers of other Debians, in roots that are made once; SUITES="trixie" for one.
check-distributions: packages
	tools/distributions $(TARGET)/packages $(SUITES)
	for suite in $(or $(SUITES),bullseye trixie sid); do \
	    tools/where $@ -- tools/debian-root $$suite --packages openssl -- || exit 1; \
	done

# SECONDS=600 for a longer run of each target, TARGETS="map response" for some.
fuzz: needed
	tools/fuzz --seconds $(or $(SECONDS),60) $(TARGETS)

# What has been found stays mended: the corpus, and mutations of it that are the same
# in each run. In the target directory of the rest, where most of it is built already.
fuzz-smoke:
	cd fuzz && $(CARGO) fmt --all --check
	cd fuzz && $(CARGO) clippy --workspace --all-targets --locked --target-dir $(abspath $(TARGET)) \
	    -- -D warnings
	cd fuzz && $(CARGO) test --workspace --locked --target-dir $(abspath $(TARGET))

# The C programs and some hosts, with the library, on every libssl.
sanitize: needed
	tools/sanitize address
	tools/sanitize thread

# What processes and threads share without a lock, in every order of its loads and stores.
model:
	cd proof && $(CARGO) test --release --tests --locked --target-dir $(abspath $(TARGET)) \
	    -- --nocapture

proof: fuzz sanitize model

# PART="ocsp cli/src/fetch" for some, DIFF=FILE for what a change touches, AGAIN=1 for what was missed.
mutants: needed
	tools/mutants $(if $(DIFF),--diff $(DIFF)) $(if $(AGAIN),--again) $(PART)

# What weaves the changes into the tree, in the target directory of the rest as well.
mutants-smoke:
	cd mutants && $(CARGO) fmt --all --check
	cd mutants && $(CARGO) clippy --workspace --all-targets --locked --target-dir $(abspath $(TARGET)) \
	    -- -D warnings
	cd mutants && $(CARGO) test --tests --locked --target-dir $(abspath $(TARGET))

# What MATRIX.md says is what the run has just held every image to.
matrix: library
	ctest/run --shim $(LIBRARY)
	tools/matrix

# The table goes to standard output, and to bench.json beside the library.
bench: needed all
	$(CARGO) build --release --locked -p staplegun-benches
	$(CARGO) build --release --locked -p staplegun-store --features agent --example publish
	tools/bench $(TARGET)/release

# Every measurement with small counts, which shows that it works; no figure is judged. In the
# check that is left to bench-hold where it counts the same. The programs beside it are built
# as for the tests, so that little is left to build.
bench-smoke bench-check: needed all
	$(CARGO) build --locked --workspace --all-features --bins --example publish
	tools/bench $(TARGET)/release --programs $(TARGET)/debug --$(patsubst bench-%,%,$@)

# What the library executes, counted, against benches/baseline.json: no change makes it more
# without saying so. Where rustc, libc or libssl is another, it says that nothing was compared.
bench-hold bench-baseline: needed all
	$(CARGO) build --locked --workspace --all-features --example publish
	tools/bench $(TARGET)/release --programs $(TARGET)/debug \
	    --$(if $(filter bench-hold,$@),hold,write-baseline)

# Writes include/staplegun.h anew; commit what it changes.
header:
	STAPLEGUN_WRITE_HEADER=1 $(CARGO) test --locked -p staplegun --test golden committed_header

# Writes the man pages and the completions anew; commit what it changes.
man:
	STAPLEGUN_WRITE_MAN=1 $(CARGO) test --locked -p staplegun-cli --bin staplegun pages

# The .deb packages, and one build, linked for glibc 2.17 and with an OpenSSL of its own, in
# every other kind.
packages: deb
	tools/packages $(TARGET)/packages

# The last needs rpm and pacman, which Debian has; nothing else does.
check-packages: needed
	tools/packages $(TARGET)/packages --twice
	tools/packages-check $(TARGET)/packages
	STAPLEGUN_PACKAGES=$(TARGET)/packages \
	    $(CARGO) test --workspace --all-features --locked --test packages -- --include-ignored \
	    --skip musl:: --skip arm64::

# Apart, so that those for one C library can be named by a pattern.
packages-musl: needed
	tools/packages $(TARGET)/packages/musl --for x86_64-linux-musl

packages-arm64: deb-arm64
	tools/packages $(TARGET)/packages/arm64 --for aarch64-linux

deb-arm64: arm64
	tools/deb $(ARM64) $(TARGET)/packages/arm64 --for aarch64-linux

# Into a root of busybox on musl, in which only root can work.
check-packages-musl: needed
	tools/packages $(TARGET)/packages/musl --twice --for x86_64-linux-musl
	tools/packages-check $(TARGET)/packages/musl
	copy=$$(mktemp -d) && trap 'rm -r "$$copy"' EXIT && \
	    tools/musl-servers "$$copy" redis && \
	    STAPLEGUN_SERVERS="$$copy" STAPLEGUN_PACKAGES=$(TARGET)/packages/musl \
	    $(CARGO) test --workspace --all-features --locked --test packages -- --ignored musl::

# By qemu. Here the .deb packages are built twice, too.
check-packages-arm64: deb-arm64
	tools/packages $(TARGET)/packages/arm64 --twice --for aarch64-linux
	tools/arm64-run tools/packages-check $(TARGET)/packages/arm64
	tools/deb-check $(TARGET)/packages/arm64 --for aarch64-linux
	STAPLEGUN_PACKAGES=$(TARGET)/packages/arm64 tools/arm64-run sh -ec \
	    "$(CARGO) test --workspace --all-features --locked --test packages -- --ignored arm64::"

release-check:
	tools/release-check

deb: needed all
	tools/deb $(TARGET)/release $(TARGET)/packages

# What check has of the fleet, and what takes longer: by real servers, one test after the other,
# and by simulation; then with Valkey, in a root where there is one. STAPLEGUN_REDIS names another
# server. Twenty agents on one machine are to be no slower than those that are shipped: who has
# nothing to staple waits two seconds for another's fetch.
OPTIMIZED := $(foreach package,cli ocsp store testkit,--config \
    'profile.dev.package.staplegun-$(package).opt-level=2')
check-fleet: needed
	$(CARGO) test --locked $(OPTIMIZED) -p staplegun-cli --test agent -- fleet:: --include-ignored \
	    --test-threads 1 --nocapture
	$(CARGO) test --locked $(OPTIMIZED) -p staplegun-cli --bin staplegun -- fleet:: \
	    --include-ignored --nocapture
	tools/fleet-valkey

# In roots by debootstrap, which are made once and cached like the images of OpenSSL. The smoke
# run is one of them; the whole has machines under systemd.
check-deb deb-smoke: deb
	tools/deb-check $(TARGET)/packages $(if $(filter deb-smoke,$@),--quick)

# The smoke run has Redis alone, and nginx in docs/getting-started.md. Where no machine can be
# booted it says so, loudly.
check-systemd systemd-smoke: deb
	tools/systemd-check $(TARGET)/release $(TARGET)/packages \
	    $(if $(filter systemd-smoke,$@),--quick)

# The smoke run has the pod of Kubernetes alone, and nothing on musl. The images are of debootstrap's
# roots, which are kept like those.
check-containers: packages-musl
check-containers containers-smoke: deb
	tools/containers-check $(TARGET)/packages $(if $(filter containers-smoke,$@),--quick)
	$(if $(filter check-containers,$@),tools/where $@)

install: all
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(LIBRARY) $(DESTDIR)$(LIBDIR)/libstaplegun.so.$(VERSION)
	ln -sf libstaplegun.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libstaplegun.so.0
	ln -sf libstaplegun.so.0 $(DESTDIR)$(LIBDIR)/libstaplegun.so
	install -m 644 include/staplegun.h $(DESTDIR)$(PREFIX)/include/staplegun.h
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' \
	    packaging/staplegun.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/staplegun.pc
	install -m 755 $(TARGET)/release/staplegun $(DESTDIR)$(PREFIX)/bin/staplegun
	# Where `make musl` has built it.
	if [ -e "$(MUSL_LIBRARY)" ]; then \
	    install -d $(DESTDIR)$(PREFIX)/lib/$(MACHINE)-linux-musl && \
	    install -m 755 $(MUSL_LIBRARY) \
	        $(DESTDIR)$(PREFIX)/lib/$(MACHINE)-linux-musl/libstaplegun.so.$(VERSION) && \
	    ln -sf libstaplegun.so.$(VERSION) \
	        $(DESTDIR)$(PREFIX)/lib/$(MACHINE)-linux-musl/libstaplegun.so.0; \
	fi
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/sysusers.d \
	    $(DESTDIR)$(PREFIX)/lib/tmpfiles.d $(DESTDIR)$(SYSCONFDIR)/staplegun
	for unit in packaging/systemd/*; do \
	    sed 's|/usr/bin/staplegun|$(PREFIX)/bin/staplegun|' "$$unit" \
	        > "$(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit##*/}" || exit 1; \
	done
	install -m 644 packaging/sysusers.d/staplegun.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d
	install -m 644 packaging/tmpfiles.d/staplegun.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d
	install -d $(DESTDIR)$(PREFIX)/share/staplegun/hooks
	install -m 755 packaging/hooks/* $(DESTDIR)$(PREFIX)/share/staplegun/hooks
	install -d $(DESTDIR)$(PREFIX)/share/staplegun/prometheus \
	    $(DESTDIR)$(PREFIX)/share/staplegun/grafana
	install -m 644 packaging/prometheus/alerts.yml $(DESTDIR)$(PREFIX)/share/staplegun/prometheus
	install -m 644 packaging/grafana/staplegun.json $(DESTDIR)$(PREFIX)/share/staplegun/grafana
	install -m 644 packaging/node.cjs $(DESTDIR)$(PREFIX)/share/staplegun/node.cjs
	for section in 1 5 7; do \
	    install -d $(DESTDIR)$(PREFIX)/share/man/man$$section && \
	    install -m 644 packaging/man/*.$$section $(DESTDIR)$(PREFIX)/share/man/man$$section || exit 1; \
	done
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
	    $(DESTDIR)$(ZSHDIR) $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 644 packaging/completions/staplegun.bash \
	    $(DESTDIR)$(PREFIX)/share/bash-completion/completions/staplegun
	install -m 644 packaging/completions/_staplegun $(DESTDIR)$(ZSHDIR)
	install -m 644 packaging/completions/staplegun.fish \
	    $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	# What the operator wrote stays.
	test -e $(DESTDIR)$(SYSCONFDIR)/staplegun/agent.toml || \
	    install -m 644 packaging/agent.toml $(DESTDIR)$(SYSCONFDIR)/staplegun/agent.toml

# What `make install` with the same variables brings, whatever that is: laid out once more, of
# empty programs. The library goes last. What the operator wrote stays.
uninstall:
	staged=$$(mktemp -d) && trap 'rm -r "$$staged"' EXIT && cd "$$staged" && \
	for file in release/libstaplegun.so release/staplegun $(MUSL_LIBRARY:$(TARGET)/%=%); do \
	    mkdir -p "target/$$(dirname "$$file")" && touch "target/$$file" || exit 1; \
	done && cd - >/dev/null && \
	$(MAKE) --silent --old-file=all install CARGO_TARGET_DIR="$$staged/target" \
	    DESTDIR="$$staged/root" && \
	if cmp -s packaging/agent.toml "$(DESTDIR)$(SYSCONFDIR)/staplegun/agent.toml"; \
	    then true; else rm "$$staged/root$(SYSCONFDIR)/staplegun/agent.toml"; fi && \
	cd "$$staged/root" && \
	find . ! -type d ! -name 'libstaplegun.so*' -exec rm -f "$(DESTDIR)/{}" \; && \
	find . ! -type d -name 'libstaplegun.so*' -exec rm -f "$(DESTDIR)/{}" \; && \
	for directory in "$(PREFIX)/share/staplegun/hooks" "$(PREFIX)/share/staplegun/prometheus" \
	    "$(PREFIX)/share/staplegun/grafana" "$(PREFIX)/share/staplegun" \
	    "$(SYSCONFDIR)/staplegun" "$(PREFIX)/lib/$(MACHINE)-linux-musl"; do \
	    if [ -d "$(DESTDIR)$$directory" ]; then \
	        rmdir --ignore-fail-on-non-empty "$(DESTDIR)$$directory" || exit 1; fi; \
	done

clean:
	$(CARGO) clean
