# `make sandbox`, `make test` and `make bench` need nothing but Rust, Node.js, a C compiler and OpenSSL's headers
# beforehand. What else they need they install themselves, once.

.PHONY: sandbox test soak audit check bench abi walletconnect browsers promtool systemd deb package-test

CHROMIUM_NAMES = chromium chromium-browser google-chrome google-chrome-stable
OTHER_NODES = hardhat2 hardhat3 ganache
FIREFOX_NAMES = firefox-esr firefox

# A member's and a merchant's life on this machine; Ctrl-C stops all of it.
sandbox: anvil/node_modules/.stamp
	@echo "The first build takes 6 to 15 minutes on two cores; after that the sandbox starts at once."
	cargo build
	cargo run --quiet -- sandbox

# What CI runs. nextest gives each test a process of its own, which those of logs and metrics need. Three of them for each core:
# most wait most of the time, for a block or a deadline.
NEXTEST = packaging/.cargo-nextest/bin/cargo-nextest

test: check anvil/node_modules/.stamp src/web/walletconnect/node_modules/.stamp tests/browser/node_modules/.stamp browsers promtool systemd \
		$(shell cargo nextest --version >/dev/null 2>&1 || echo $(NEXTEST))
	PATH="$(CURDIR)/$(dir $(NEXTEST)):$$PATH" cargo nextest run --test-threads $$((3 * $$(getconf _NPROCESSORS_ONLN)))
	cargo test --doc --quiet

$(NEXTEST): packaging/cargo-nextest.version
	cargo install cargo-nextest --locked --version "$$(cat packaging/cargo-nextest.version)" --root packaging/.cargo-nextest
	touch $@

# The long runs of the tests that play at random: kills, reorganisations, faults and cuts; and a subscriber's life on
# nodes of other makers, Hardhat 2 and 3 and Ganache (tests/nodes/); and a year of one server (docs/figures.md). Half an hour.
# AMSER_ROLES_TEST_YEAR_OLDER=PROGRAM lets the year begin with an older build, which is upgraded to this one on day 35.
soak: anvil/node_modules/.stamp $(OTHER_NODES:%=tests/nodes/%/node_modules/.stamp)
	AMSER_ROLES_TEST_CRASHES=1000 AMSER_ROLES_TEST_REORGS=600 AMSER_ROLES_TEST_CHAOS=300 \
	AMSER_ROLES_TEST_LOAD_ROUNDS=3 AMSER_ROLES_TEST_CUT_SECONDS=60 AMSER_ROLES_TEST_OTHER_NODES=1 \
	AMSER_ROLES_TEST_RENEWALS=77 AMSER_ROLES_TEST_BACKUP_KILLS=100 \
	AMSER_ROLES_TEST_YEAR_DAYS=365 \
	cargo test --test it -- --nocapture --test-threads 2 \
		crash:: reorg:: chaos:: load:: connection:: other_nodes:: forecast::all_who operate::kills:: year::

# Known vulnerabilities, licences and unmaintained crates (deny.toml); needs cargo-deny and the network.
audit:
	cargo deny --locked check

# The quick part: formatting and lints.
check:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

# One table of measurements, each beside its bound or its floor. AMSER_ROLES_BENCH_LARGE=1 measures a store of ten million
# events instead of one, and reading 2,500 servers at Discord's limits (ten minutes); BENCH names row groups: backfill limits
# year blooms many join large latency pass forecast links people drift.
bench: anvil/node_modules/.stamp
	cargo bench --bench bench -- $(BENCH)

# A Debian package of the release build in target/debian/; prints its path. It is installed by `apt install ./FILE`.
CARGO_DEB = packaging/.cargo-deb/bin/cargo-deb

deb: $(CARGO_DEB)
	cargo build --release --locked
	packaging/deb target/release/amser-roles

# Installs the package into a Debian of its own, runs the service there, upgrades and purges it; builds the image and runs it.
# Needs root, apt and the network. `tests/package/run target/debug/amser-roles` tries the same with another build.
package-test: deb anvil/node_modules/.stamp
	tests/package/run target/release/amser-roles

$(CARGO_DEB): packaging/cargo-deb.version
	cargo install cargo-deb --locked --version "$$(cat packaging/cargo-deb.version)" --root packaging/.cargo-deb
	touch $@

# Recompile contracts/ into abi/.
abi: anvil/node_modules/.stamp
	node anvil/compile.mjs

# Bundle the wallet page's WalletConnect client again.
walletconnect: src/web/walletconnect/node_modules/.stamp
	node src/web/walletconnect/bundle.mjs

# The stamp is newer than the lock file exactly when what the lock file names is installed.
anvil/node_modules/.stamp: anvil/package.json anvil/package-lock.json anvil/.npmrc
	npm ci --prefix anvil --no-fund --no-audit
	touch $@

src/web/walletconnect/node_modules/.stamp: src/web/walletconnect/package.json src/web/walletconnect/package-lock.json src/web/walletconnect/.npmrc
	npm ci --prefix src/web/walletconnect --no-fund --no-audit
	touch $@

# What drives the browser in tests; it brings no browser of its own.
tests/browser/node_modules/.stamp: tests/browser/package.json tests/browser/package-lock.json tests/browser/.npmrc
	npm ci --prefix tests/browser --no-fund --no-audit
	touch $@

# Hardhat 3 needs a newer Node.js than the machine may have, and npm leaves out what its own Node.js is too old for: so all
# of these are installed and run by a Node.js from npm.
NODE22 = tests/nodes/node22/node_modules

$(NODE22)/.stamp: tests/nodes/node22/package.json tests/nodes/node22/package-lock.json tests/nodes/node22/.npmrc
	npm ci --prefix tests/nodes/node22 --no-fund --no-audit
	touch $@

$(OTHER_NODES:%=tests/nodes/%/node_modules/.stamp): tests/nodes/%/node_modules/.stamp: \
		tests/nodes/%/package.json tests/nodes/%/package-lock.json tests/nodes/%/.npmrc $(NODE22)/.stamp
	PATH="$$(echo "$(CURDIR)"/$(NODE22)/node-*/bin):$$PATH" npm ci --prefix tests/nodes/$* --no-fund --no-audit
	touch $@

# The pages are tested in real browsers.
browsers:
	@missing=; \
	found() { for name in "$$@"; do command -v $$name >/dev/null && return; done; false; }; \
	found $(CHROMIUM_NAMES) || missing="chromium"; \
	found $(FIREFOX_NAMES) || missing="$$missing firefox-esr"; \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
		else echo "make test: missing browsers; install $$missing (Debian: apt-get install $$missing)" >&2; exit 1; fi; \
	fi

# Checks monitoring/. Debian's package would start a server, so only this program of it is unpacked, and nothing is installed.
promtool:
	@if ! command -v promtool >/dev/null && [ ! -x monitoring/.promtool/usr/bin/promtool ]; then \
		if command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null; then \
			if [ "$$(id -u)" = 0 ]; then apt-get update -qq; fi; \
			mkdir -p monitoring/.promtool && cd monitoring/.promtool && \
			apt-get download -qq prometheus && \
			dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool && rm prometheus_*.deb; \
		else echo "make test: missing promtool; install Prometheus" >&2; exit 1; fi; \
	fi

# Checks the units in packaging/.
systemd:
	@if ! command -v systemd-analyze >/dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
			apt-get update -qq && apt-get install -y -qq --no-install-recommends systemd >/dev/null; \
		else echo "make test: missing systemd-analyze; install systemd" >&2; exit 1; fi; \
	fi
