# What there is to type. Arguments for the program at the end: make run PORT=8081 ARGS="--data-dir /var/tmp/sale"

PORT ?= 8080
ARGS ?=
SWIFT_SOURCES = Package.swift Sources Tests $(wildcard Benchmarks)

.DEFAULT_GOAL := help
.PHONY: help run test test-versions bench chaos openapi clients proxies browser java deploy-check build lint format \
  packages

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

# The program replaces the shell, so that Ctrl-C is the program's own to answer; it stops the database, then ends with 0.
run: build ## start the API with a database of its own on http://127.0.0.1:8080 (PORT=8081 for another port)
	@exec .build/release/flashsale demo --port $(PORT) $(ARGS)

# All tests are Swift Testing's; XCTest would only add that it executed 0.
# The tests of whole processes and of streams mind the time, so they run after the others and not beside them.
test: MISSING += $(shell ls /usr/sbin/pgbouncer >/dev/null 2>&1 || echo pgbouncer)
test: packages ## run all tests, against a PostgreSQL that they start themselves (ARGS="--filter Holds" for some)
ifeq ($(ARGS),)
	swift test --disable-xctest --skip 'FlashSaleTests|StockStreamTests'
	swift test --disable-xctest --skip-build --filter 'FlashSaleTests|StockStreamTests'
else
	swift test --disable-xctest $(ARGS)
endif

test-versions: MISSING += $(shell command -v python3 >/dev/null || echo python3; \
  python3 -m pip --version >/dev/null 2>&1 || echo python3-pip; ls /usr/sbin/pgbouncer >/dev/null 2>&1 || echo pgbouncer)
test-versions: packages ## run the tests against PostgreSQL 16 and 18 as well, which it installs under .build
	swift build --build-tests
	Tests/Versions/run $(ARGS)

# What it measures with; redis-tools has all of Redis but a service. --peers are Python programs.
bench: MISSING += $(shell \
  command -v python3 >/dev/null || echo python3; \
  command -v wrk >/dev/null || echo wrk; \
  command -v pgbench >/dev/null || echo postgresql-contrib; \
  command -v redis-benchmark >/dev/null || echo redis-tools) \
  $(if $(filter --peers --all,$(ARGS)),$(shell python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv))
bench: build ## measure it beside HTTP, PostgreSQL and Redis alone, for 8 minutes (Benchmarks/run --help for more)
	swift build -c release --product echo
	Benchmarks/run $(ARGS)

chaos: MISSING += $(shell command -v python3 >/dev/null || echo python3) \
  $(if $(filter --attack --soak,$(ARGS)),$(shell command -v wrk >/dev/null || echo wrk)) \
  $(if $(filter --restarts --failover,$(ARGS)),$(shell ls /usr/sbin/haproxy >/dev/null 2>&1 || echo haproxy)) \
  $(if $(filter --frozen,$(ARGS)),$(shell ls /usr/sbin/nft >/dev/null 2>&1 || echo nftables)) \
  $(if $(filter --failover,$(ARGS)),$(shell \
    command -v patroni >/dev/null || echo patroni; command -v etcd >/dev/null || echo etcd-server))
chaos: build ## break servers, database and network under load, and check every answer (Tests/Reliability/run --help for more)
	Tests/Reliability/run $(or $(ARGS),--chaos --minutes 1)

openapi: MISSING += $(shell \
  command -v python3 >/dev/null || echo python3; python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv)
openapi: build ## hold the OpenAPI document against the server, with requests made from it
	Tests/Schemathesis/run $(or $(ARGS),30)

clients: MISSING += $(shell \
  command -v python3 >/dev/null || echo python3; python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv)
clients: build ## generate clients of the OpenAPI document in six languages, and buy with two of them
	Tests/Clients/run $(ARGS)

proxies: MISSING += $(shell \
  command -v python3 >/dev/null || echo python3; \
  for each in nginx:nginx haproxy:haproxy caddy:caddy apache2:apache2 lighttpd:lighttpd varnishd:varnish; do \
    ls /usr/bin/$${each%:*} /usr/sbin/$${each%:*} 2>/dev/null | grep -q . || echo $$each | cut -d : -f 2; \
  done)
proxies: build ## put nginx, HAProxy, Caddy, Apache, lighttpd and Varnish in front of servers (ARGS="nginx" for some)
	Tests/Proxies/run $(ARGS)

browser: MISSING += $(shell \
  command -v python3 >/dev/null || echo python3; command -v chromium >/dev/null || echo chromium)
browser: build ## open pages of other sites in Chromium, which may take nothing
	Tests/Browser/run

deploy-check: MISSING += $(shell \
  command -v python3 >/dev/null || echo python3; python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv; \
  command -v promtool >/dev/null || echo prometheus; command -v systemd-analyze >/dev/null || echo systemd)
deploy-check: build ## hold the files of deploy/ against the programs that read them, and against the server
	Tests/Deploy/run

java: MISSING += $(shell command -v python3 >/dev/null || echo python3; command -v javac >/dev/null || echo default-jdk-headless)
java: build ## hold the server against Java's HTTP client, which asks for HTTP/2
	Tests/Java/run

build: packages ## the release binary, .build/release/flashsale
	swift build -c release --product flashsale

lint: ## check the style, as CI does
	swift format lint --strict --parallel --recursive $(SWIFT_SOURCES)

format: ## put the sources into that style
	swift format --in-place --parallel --recursive $(SWIFT_SOURCES)

# The Debian packages that are missing: libpq to build with, PostgreSQL's programs to start a private server from, and
# curl for the examples.
MISSING = $(shell \
  command -v pkg-config >/dev/null || echo pkg-config; \
  pkg-config --exists libpq 2>/dev/null || echo libpq-dev; \
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || echo postgresql; \
  command -v curl >/dev/null || echo curl)

# While it is installed, Debian's postgresql would make and start a database for everybody on the machine, which nothing
# here uses: the setting in createcluster.d, which is there only for the duration, says not to.
NO_CLUSTER = /etc/postgresql-common/createcluster.d/flashsale.conf

# The same goes for services: this file, which is there only for the duration where there is none, says that none is to be
# started (invoke-rc.d(8)), and what was installed is disabled afterwards.
NO_START = /usr/sbin/policy-rc.d
OURS = While flashsale installs packages.
SERVICES = apache2 caddy etcd haproxy lighttpd nginx patroni pgbouncer prometheus varnish varnishncsa

packages:
	@command -v swift >/dev/null || { echo "Swift is missing: https://www.swift.org/install" >&2; exit 1; }
	@set -- $(MISSING); [ $$# -gt 0 ] || exit 0; \
	[ "$$(id -u)" = 0 ] && root= || root=sudo; \
	command -v apt-get >/dev/null && $$root true 2>/dev/null || \
	{ echo "Missing: $$*. Installing them takes apt-get, and root or sudo." >&2; exit 1; }; \
	echo "Installing $$* ..."; \
	[ -e $(NO_START) ] && ! grep -qs '$(OURS)' $(NO_START) && no_start= || no_start=$(NO_START); \
	trap "$$root rm -f $(NO_CLUSTER) $$no_start" EXIT; trap 'exit 130' INT; trap 'exit 143' TERM HUP; \
	$$root mkdir -p $(dir $(NO_CLUSTER)) && \
	echo "create_main_cluster = false" | $$root tee $(NO_CLUSTER) >/dev/null && \
	{ [ -z "$$no_start" ] || printf '#!/bin/sh\n# $(OURS)\nexit 101\n' | $$root install -m 755 /dev/stdin $(NO_START); } && \
	$$root apt-get update -qq && \
	$$root env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends "$$@" >/dev/null && \
	for service in $(SERVICES); do \
	  case " $$*" in *" $$service"*) $$root systemctl --quiet disable $$service 2>/dev/null || true ;; esac; \
	done
