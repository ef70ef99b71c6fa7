# The commands of the project. ARGS passes arguments to the program: make run PORT=8081 ARGS="--data-dir /var/tmp/sale"

PORT ?= 8080
ARGS ?=
SWIFT_SOURCES = Package.swift Sources Tests $(wildcard Benchmarks)

.DEFAULT_GOAL := help
.PHONY: help run test test-versions bench chaos openapi clients payments events proxies browser screenshots java \
  rehearse deploy-check build lint format packages

help: ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

# The program replaces the shell, so it receives Ctrl-C itself. It stops the database, then exits with 0.
run: build ## start the API with its own database on http://127.0.0.1:8080 (PORT=8081 for another port)
	@exec .build/release/flashsale demo --port $(PORT) $(ARGS)

# All tests use Swift Testing. XCTest would only report 0 tests.
# The tests of whole processes, of streams and of deliveries depend on time, so they run after the others.
TESTS = swift test --disable-xctest
TIMED = FlashSaleTests|StockStreamTests|TicksTests|EventWebhooksTests
test: MISSING += $(shell ls /usr/sbin/pgbouncer >/dev/null 2>&1 || echo pgbouncer)
test: packages ## run all tests; they start their own PostgreSQL (ARGS="--filter Holds" for some)
ifeq ($(ARGS),)
	$(TESTS) --skip '$(TIMED)'
	$(TESTS) --skip-build --filter '$(TIMED)'
else
	$(TESTS) $(ARGS)
endif

test-versions: MISSING += $(shell command -v python3 >/dev/null || echo python3; \
  python3 -m pip --version >/dev/null 2>&1 || echo python3-pip; ls /usr/sbin/pgbouncer >/dev/null 2>&1 || echo pgbouncer)
test-versions: packages ## install PostgreSQL 16 and 18 under .build, and run the tests on both
	swift build --build-tests
	Tests/Versions/run $(ARGS)

# The programs for measuring. redis-tools has Redis without a service. --peers runs Python programs.
bench: MISSING += $(shell \
  command -v python3 >/dev/null || echo python3; \
  command -v wrk >/dev/null || echo wrk; \
  command -v pgbench >/dev/null || echo postgresql-contrib; \
  command -v redis-benchmark >/dev/null || echo redis-tools) \
  $(if $(filter --peers --all,$(ARGS)),$(shell python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv))
bench: build ## measure the server, and HTTP, PostgreSQL and Redis alone, for 8 minutes (Benchmarks/run --help for more)
	swift build -c release --product echo
	Benchmarks/run $(ARGS)

chaos: MISSING += $(shell command -v python3 >/dev/null || echo python3) \
  $(if $(filter --attack --soak,$(ARGS)),$(shell command -v wrk >/dev/null || echo wrk)) \
  $(if $(filter --restarts --failover,$(ARGS)),$(shell ls /usr/sbin/haproxy >/dev/null 2>&1 || echo haproxy)) \
  $(if $(filter --frozen,$(ARGS)),$(shell ls /usr/sbin/nft >/dev/null 2>&1 || echo nftables)) \
  $(if $(filter --failover,$(ARGS)),$(shell \
    command -v patroni >/dev/null || echo patroni; command -v etcd >/dev/null || echo etcd-server))
chaos: packages build ## break servers, database and network under load, and check every response (Tests/Reliability/run --help for more)
	Tests/Reliability/run $(or $(ARGS),--chaos --minutes 1)

openapi: MISSING += $(shell \
  command -v python3 >/dev/null || echo python3; python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv)
openapi: packages build ## test the server with requests that are generated from the OpenAPI document
	Tests/Schemathesis/run $(or $(ARGS),30)

clients: MISSING += $(shell \
  command -v python3 >/dev/null || echo python3; python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv)
clients: packages build ## generate clients in six languages from the OpenAPI document, and buy with two of them
	Tests/Clients/run $(ARGS)

payments: MISSING += $(shell \
  command -v python3 >/dev/null || echo python3; python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv)
payments: packages build ## pay and refund as Stripe does, with Stripe's library (ARGS="--orders 2000 --refunds 200" for more)
	Tests/Payments/run $(ARGS)

proxies: MISSING += $(shell \
  command -v python3 >/dev/null || echo python3; \
  for each in nginx:nginx haproxy:haproxy caddy:caddy apache2:apache2 lighttpd:lighttpd varnishd:varnish; do \
    ls /usr/bin/$${each%:*} /usr/sbin/$${each%:*} 2>/dev/null | grep -q . || echo $$each | cut -d : -f 2; \
  done)
proxies: build ## test servers behind nginx, HAProxy, Caddy, Apache, lighttpd and Varnish (ARGS="nginx" for some)
	Tests/Proxies/run $(ARGS)

browser: MISSING += $(shell \
  command -v python3 >/dev/null || echo python3; python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv; \
  command -v chromium >/dev/null || echo chromium)
browser: packages build ## buy on the pages in Chromium, run a sale in the control room, read /docs, and attack from other sites
	Tests/Browser/run
	Tests/Browser/buy $(ARGS)

screenshots: MISSING += $(shell \
  command -v python3 >/dev/null || echo python3; python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv; \
  command -v chromium >/dev/null || echo chromium; command -v optipng >/dev/null || echo optipng)
screenshots: packages build ## make the pictures of the README from a small sale (ARGS="sale" for one)
	Tests/Browser/screenshots $(ARGS)

deploy-check: MISSING += $(shell \
  command -v python3 >/dev/null || echo python3; python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv; \
  command -v promtool >/dev/null || echo prometheus; command -v systemd-analyze >/dev/null || echo systemd)
deploy-check: packages build ## check the files of deploy/ with the programs that read them, and with the server
	Tests/Deploy/run

java: MISSING += $(shell command -v python3 >/dev/null || echo python3; command -v javac >/dev/null || echo default-jdk-headless)
java: build ## test the server with Java's HTTP client, which asks for HTTP/2
	Tests/Java/run

events: MISSING += $(shell \
  command -v python3 >/dev/null || echo python3; python3 -c 'import ensurepip' 2>/dev/null || echo python3-venv)
events: packages build ## receive the events of a server, and verify them (ARGS="--measure --rate 500" measures)
	Tests/Events/run $(ARGS)

rehearse: MISSING += $(shell command -v python3 >/dev/null || echo python3)
rehearse: packages build ## play a whole sale against a private server (ARGS="--kills" kills it; --buyers and other options)
	Tests/Rehearsal/run $(ARGS)

build: packages ## build the release binary, .build/release/flashsale
	swift build -c release --product flashsale

lint: ## check the code style, as CI does
	swift format lint --strict --parallel --recursive $(SWIFT_SOURCES)

format: ## format the sources in that style
	swift format --in-place --parallel --recursive $(SWIFT_SOURCES)

# The missing Debian packages. The build needs libpq, a private server needs PostgreSQL's programs, and the examples need
# curl.
MISSING = $(shell \
  command -v pkg-config >/dev/null || echo pkg-config; \
  pkg-config --exists libpq 2>/dev/null || echo libpq-dev; \
  ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || echo postgresql; \
  command -v curl >/dev/null || echo curl)

# Debian's postgresql creates and starts a database when it is installed. Nothing here uses that database. A setting in
# createcluster.d prevents it; the file exists only during the installation.
NO_CLUSTER = /etc/postgresql-common/createcluster.d/flashsale.conf

# Other packages start services when they are installed. A policy file prevents that (invoke-rc.d(8)), and the services are
# disabled afterwards. The policy file exists only during the installation. An existing one is left as it is.
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
