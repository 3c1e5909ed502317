# The front door. Each of these works from a fresh clone on Debian 12 or 13 with Rust.

.DEFAULT_GOAL := help
.PHONY: help run up down test test-long matrix conditions fuzz check package testbed-up testbed-down test-testbed fmt clippy doc deny

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST)

run: ## a shell in a container: builds, starts, runs `zun run -i --name test cirros /bin/sh`, takes all down
	@deploy/run.sh

up: ## the standalone service in the background; then: source target/zun.env
	@deploy/up.sh

down: ## stops it, also after a crash, and removes all of it
	@deploy/down.sh

test: ## all tests, with a private Docker engine and RabbitMQ
	@deploy/packages.sh test
	@deploy/test.sh

test-long: ## the same with all that takes long: whole matrices, thousands of handshakes, gigabytes, fuzzing
	@deploy/packages.sh test
	@ZUN_TEST_LONG=1 deploy/test.sh
	@deploy/matrix.sh trixie
	@deploy/fuzz.sh 30

matrix: ## what strangers can send, in full, on both engines
	@deploy/packages.sh test
	@deploy/matrix.sh

fuzz: ## fuzzes what zun-authz reads from strangers, a minute each; deploy/fuzz.sh for longer
	@deploy/fuzz.sh

package: ## target/zun.tar.gz, to install on hosts: docs/install.md
	@deploy/package.sh

testbed-up: ## a controller and two compute hosts under systemd on this machine, installed by docs/install.md
	@deploy/testbed/up.sh

test-testbed: ## the tests of the testbed
	@deploy/testbed/test.sh

testbed-down: ## takes the testbed away
	@deploy/testbed/down.sh

conditions: ## the interactive conditions on both engines, and the table of docs/conditions.md
	@deploy/packages.sh test
	@deploy/conditions.sh

check: fmt clippy doc deny ## format, lints, documentation, licences

fmt:
	cargo fmt --all --check

clippy:
	cargo clippy --locked --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS='-D warnings' cargo doc --locked --workspace --no-deps

deny:
	@if command -v cargo-deny >/dev/null; then cargo deny check; \
	else echo 'cargo-deny is not installed: licences and advisories are not checked'; fi
