# Every target except test-testbed works in a fresh clone on Debian 12 or 13 with Rust. `fuzz` and `test-long` also
# need g++.

.DEFAULT_GOAL := help
.PHONY: help run up down test test-long bench chaos simulation matrix conditions docs picture web web-pictures fuzz check package testbed-up testbed-down test-testbed fmt scripts clippy doc deny machete types

help: ## Print this help
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

run: ## Build, start the service, run `zun run -i --name test cirros /bin/sh`, then stop what it started
	@deploy/run.sh

up: ## Start the standalone service in the background, then: source target/zun.env
	@deploy/up.sh

down: ## Stop the standalone service and remove all its data, also after a crash
	@deploy/down.sh

test: ## Run all tests with a private Docker engine, RabbitMQ and PostgreSQL
	@deploy/packages.sh test
	@deploy/test.sh

test-long: ## Run all tests in full length, the authorization tests also on the engine of Debian 13, the fuzzers, 10000 simulations, random requests, the site of the documents, and chaos
	@deploy/packages.sh test
	@ZUN_TEST_LONG=1 deploy/test.sh
	@deploy/contract.sh
	@deploy/docs.sh
	@deploy/matrix.sh trixie
	@deploy/fuzz.sh 30
	@deploy/simulation.sh
	@deploy/chaos.sh

bench: ## Measure the release builds against docker, and write target/bench.json, docs/performance.md and the figures in README
	@deploy/packages.sh test
	@deploy/bench.sh

chaos: ## Kill and freeze all services at random under load, then check that every accepted request was carried out exactly once
	@deploy/packages.sh test
	@deploy/chaos.sh

simulation: ## Simulate the whole system with 10000 seeds, in an optimized build
	@deploy/simulation.sh

matrix: ## Run the authorization tests in full length, on the installed engine and on the one of Debian 13
	@deploy/packages.sh test
	@deploy/matrix.sh

fuzz: ## Fuzz the untrusted input of zun-authz and the console gate, one minute per target (longer: deploy/fuzz.sh SECONDS)
	@deploy/fuzz.sh

package: ## Build target/zun.tar.gz for installing on hosts (docs/install.md)
	@deploy/package.sh

testbed-up: ## Start a controller and two compute hosts in containers with systemd, installed as in docs/install.md
	@deploy/testbed/up.sh

test-testbed: ## Run the tests of the testbed (run make testbed-up first)
	@deploy/testbed/test.sh

testbed-down: ## Remove the testbed
	@deploy/testbed/down.sh

conditions: ## Run the tests of interactive sessions on the installed engine and on Debian 13's; write docs/conditions.md
	@deploy/packages.sh test
	@deploy/conditions.sh

docs: ## Build the documentation site in target/book
	@deploy/docs.sh

picture: ## Record a session and write docs/session-light.svg and docs/session-dark.svg for README
	@deploy/packages.sh run
	@deploy/picture.sh

web: ## Build the pages for browsers into web/dist; the next build of zun-console and zun-api contains them
	@deploy/packages.sh web
	@deploy/web.sh build

web-pictures: ## Take screenshots of the web pages into target/web-pictures, and update those of docs/web-console.md and those that the tests compare with
	@deploy/web.sh pictures

check: fmt scripts types machete deny clippy doc ## Check format, scripts, types, dependencies, licences, lints and documentation

fmt:
	cargo fmt --all --check

scripts:
	@for script in $$(git ls-files '*.sh' .ci/run); do bash -n "$$script" || exit 1; done

types:
	@deploy/web.sh check

clippy:
	cargo clippy --locked --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps

deny:
	@deploy/tool.sh cargo-deny --log-level error --locked check bans licenses sources

machete:
	@deploy/tool.sh cargo-machete --skip-target-dir .
