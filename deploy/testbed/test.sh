#!/bin/bash
# Runs the tests of the testbed, which must be up. Arguments go to the tests.
# The tests run the `zun` that `make testbed-up` built.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_root "$@"
[ -s "$TARGET/testbed.env" ] || fail "the testbed is not running: run make testbed-up first"
cd "$ROOT"
# shellcheck disable=SC1091
zun=$(. "$TARGET/testbed.env" && command -v zun) || fail "cannot find the zun of the testbed: run make testbed-up again"
ZUN_TEST_PROGRAMS=$(dirname "$zun")
export ZUN_TEST_PROGRAMS
export ZUN_TESTBED=$TARGET/testbed.env ZUN_TESTBED_ENGINE=unix://$SOCKET
exec cargo test --locked -p zun-tests --test testbed -- --ignored --test-threads=1 "$@"
