# staplegun: build, see it work, test, install.
#
#   make          builds the library and the program
#   make demo     shows a server that cannot staple, stapling
#   make check    runs the tests, against real servers and every libssl
#   make check-faults  breaks the library inside a host, in every way
#   make check-memory  everything under valgrind, and 10,000 handshakes
#   make soak     500,000 handshakes while responses are renewed; COUNT=
#   make check-images  hostile hosts on every libssl, several in one process, QUIC,
#                 BoringSSL, AWS-LC
#   make check-judges  test-suites of others, with the library and without
#   make check-programs  holds every server of docs/programs.md to its row
#   make check-distributions  holds the servers of Debian 11, 13 and sid to theirs
#   make proof    fuzz, sanitize and model: an hour of looking for what no test asks for
#   make fuzz     looks for inputs that break a reader; docs/proof.md explains it
#   make matrix   runs the tests of every libssl and writes MATRIX.md
#   make bench    measures what it costs; docs/performance.md explains the table
#   make bench-hold      holds its instructions to benches/baseline.json
#   make bench-baseline  writes that anew, in the commit whose cost it shows
#   make header   writes include/staplegun.h
#   make man      writes packaging/man and packaging/completions
#   make packages .deb packages, tarball, wheel, .rpm, .apk and Arch's, in target/packages
#   make check-packages  makes all but .deb twice, and installs each as a user would
#   make check-deb    installs, upgrades and removes the .deb packages in other Debians
#   make check-systemd  types what the documents say on a Debian under systemd
#   make release-check   whether the tree is ready to be tagged
#   make install  DESTDIR= PREFIX=/usr/local SYSCONFDIR=/etc
#
# demo and check install the Debian packages that they need; each says which.

PREFIX ?= /usr/local
DESTDIR ?=
LIBDIR ?= $(PREFIX)/lib
SYSCONFDIR ?= /etc
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
CARGO ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)

VERSION := $(shell sed -n '/^\[workspace.package\]/,/^version/s/^version = "\(.*\)"/\1/p' Cargo.toml)
LIBRARY := $(TARGET)/release/libstaplegun.so

.PHONY: all library program demo check check-rust check-c check-examples check-judges check-judges-quick check-programs check-distributions check-faults faults-smoke check-memory memory-smoke soak proof fuzz fuzz-smoke sanitize model matrix bench bench-smoke bench-hold bench-baseline header man install needed packages check-packages deb check-deb deb-smoke check-systemd systemd-smoke release-check clean check-images

all: library program

# By itself, so that nothing is compiled in that only the program needs.
library:
	$(CARGO) build --release --locked -p staplegun

program:
	$(CARGO) build --release --locked -p staplegun-cli

needed:
	tools/debian-packages

demo: needed all
	tools/demo $(LIBRARY) $(TARGET)/release/staplegun

check: needed all check-rust fuzz-smoke check-c faults-smoke memory-smoke check-examples check-judges-quick bench-smoke bench-hold deb-smoke systemd-smoke

# Formatting and lints stand first: they are the quickest to fail. The servers run
# as other users, who need not be able to enter this directory: hence the copy. The program is
# what the quick packages are made of.
check-rust: all
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --all-features --locked -- -D warnings
	copy=$$(mktemp -d) && trap 'rm -r "$$copy"' EXIT && \
	    chmod 755 "$$copy" && cp $(LIBRARY) "$$copy" && \
	    STAPLEGUN_LIB="$$copy/libstaplegun.so" \
	    $(CARGO) test --workspace --all-features --locked

# The same C programs against the real libssl of each version, and through the
# shim; hostile hosts on two of them, and on all in check-images. The images are built
# once and cached outside the clone.
check-c: library
	tools/matrix --check
	ctest/header-check
	ctest/run --shim $(LIBRARY)
	ctest/hosts/run --shim $(LIBRARY) --quick

# Panics, failing functions and memory that cannot be had, on every libssl; the smoke run
# on two. The test build is one that a release refuses to be.
check-faults faults-smoke: library
	$(CARGO) build --locked -p staplegun --features faults
	ctest/faults/run --shim $(LIBRARY) --test-build $(TARGET)/debug/libstaplegun.so \
	    $(if $(filter faults-smoke,$@),--quick)

# What is left behind: leaks and errors of memory, and growth. The smoke run has counts
# that are enough to show a leak per handshake.
check-memory: needed library
	ctest/run --valgrind --quick --shim $(LIBRARY)
	ctest/memory/run --shim $(LIBRARY) --valgrind 10000

soak: library
	ctest/memory/run --shim $(LIBRARY) --soak $(or $(COUNT),500000)

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
	ctest/other_libssl/run --shim $(LIBRARY)
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
	$(CARGO) build --release --locked -p staplegun-store --features agent --example publish
	ctest/judges/run --shim $(LIBRARY) --publish $(TARGET)/release/examples/publish \
	    $(if $(filter check-judges-quick,$@),--quick)

# Every server from its start to its stop; check has the quick part of it.
# STAPLEGUN_WRITE_PROGRAMS=1 writes the table of docs/programs.md anew.
check-programs: needed library
	STAPLEGUN_LIB=$(abspath $(LIBRARY)) STAPLEGUN_PROGRAMS=full \
	    $(CARGO) test -p staplegun --locked --test programs

# The same for the servers of other Debians, in roots that are made once; SUITES="trixie" for one.
check-distributions: packages
	tools/distributions $(TARGET)/packages $(SUITES)

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

# The live map's lock-free part in every order of its loads and stores.
model:
	cd proof && $(CARGO) fmt --check
	cd proof && $(CARGO) clippy --lib --test slots --locked --target-dir $(abspath $(TARGET)) -- -D warnings
	cd proof && $(CARGO) test --release --test slots --locked --target-dir $(abspath $(TARGET)) \
	    -- --nocapture

proof: fuzz sanitize model

# What MATRIX.md says is what the run has just held every image to.
matrix: library
	ctest/run --shim $(LIBRARY)
	tools/matrix

# The table goes to standard output, and to bench.json beside the library.
bench: needed all
	$(CARGO) build --release --locked -p staplegun-benches
	$(CARGO) build --release --locked -p staplegun-store --features agent --example publish
	tools/bench $(TARGET)/release

# Every measurement with small counts, which shows that it works; no figure is judged. The
# programs beside it are built as for the tests, so that little is left to build.
bench-smoke: needed all
	$(CARGO) build --locked --all-features -p staplegun-benches -p staplegun-store \
	    --bins --example publish
	tools/bench $(TARGET)/release --programs $(TARGET)/debug --smoke

# What the library executes, counted, against benches/baseline.json: no change makes it more
# without saying so. Where rustc, libc or libssl is another, it says that nothing was compared.
bench-hold bench-baseline: needed all
	$(CARGO) build --locked --all-features -p staplegun-store --example publish
	tools/bench $(TARGET)/release --programs $(TARGET)/debug \
	    --$(if $(filter bench-hold,$@),hold,write-baseline)

# Writes include/staplegun.h anew; commit what it changes.
header:
	STAPLEGUN_WRITE_HEADER=1 $(CARGO) build --locked

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
	    $(CARGO) test --locked -p staplegun --test packages -- --include-ignored

release-check:
	tools/release-check

deb: needed all
	tools/deb $(TARGET)/release $(TARGET)/packages

# In roots by debootstrap, which are made once and cached like the images of OpenSSL. The smoke
# run is one of them; the whole has machines under systemd.
check-deb deb-smoke: deb
	tools/deb-check $(TARGET)/packages $(if $(filter deb-smoke,$@),--quick)

# The smoke run has Redis alone. Where no machine can be booted it says so, loudly.
systemd-smoke: needed all
	tools/systemd-check $(TARGET)/release --quick

check-systemd: deb
	tools/systemd-check $(TARGET)/release $(TARGET)/packages

install: all
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/bin
	install -m 755 $(LIBRARY) $(DESTDIR)$(LIBDIR)/libstaplegun.so.$(VERSION)
	ln -sf libstaplegun.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libstaplegun.so.0
	ln -sf libstaplegun.so.0 $(DESTDIR)$(LIBDIR)/libstaplegun.so
	install -m 644 include/staplegun.h $(DESTDIR)$(PREFIX)/include/staplegun.h
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@LIBDIR@|$(LIBDIR)|' -e 's|@VERSION@|$(VERSION)|' \
	    packaging/staplegun.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/staplegun.pc
	install -m 755 $(TARGET)/release/staplegun $(DESTDIR)$(PREFIX)/bin/staplegun
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/sysusers.d \
	    $(DESTDIR)$(PREFIX)/lib/tmpfiles.d $(DESTDIR)$(SYSCONFDIR)/staplegun
	for unit in staplegun.service staplegun-fill.service; do \
	    sed 's|/usr/bin/staplegun|$(PREFIX)/bin/staplegun|' packaging/systemd/$$unit \
	        > $(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit || exit 1; \
	done
	install -m 644 packaging/sysusers.d/staplegun.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d
	install -m 644 packaging/tmpfiles.d/staplegun.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d
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

clean:
	$(CARGO) clean
