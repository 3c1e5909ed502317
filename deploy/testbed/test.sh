#!/bin/bash
# The tests of the testbed, which must be up. Arguments go to the tests.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_root "$@"
[ -s "$TARGET/testbed.env" ] || fail "the testbed is not up: make testbed-up"
cd "$ROOT"
export ZUN_TESTBED=$TARGET/testbed.env ZUN_TESTBED_ENGINE=unix://$SOCKET
exec cargo test --locked -p zun-tests --test testbed -- --ignored --test-threads=1 "$@"
