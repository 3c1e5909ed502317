#!/bin/bash
# Runs the chaos test in its long form and prints the report, also into target/chaos. Settings in the environment:
#   ZUN_CHAOS_SEED=N         run the schedule of an earlier run again (default: random)
#   ZUN_CHAOS_OPERATIONS=N   number of steps of all clients together (default: 6000, about 20 minutes)
#   ZUN_CHAOS_DATABASE=KIND  the database of zun-api: sqlite (default) or postgres
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

cargo build --locked --workspace --bins
cargo test --locked -p zun-tests --test chaos --no-run
as_root env "PATH=$PATH" "HOME=$HOME" "CARGO_TARGET_DIR=$TARGET" "ZUN_CHAOS_SEED=${ZUN_CHAOS_SEED:-}" \
  "ZUN_CHAOS_OPERATIONS=${ZUN_CHAOS_OPERATIONS:-}" "ZUN_CHAOS_DATABASE=${ZUN_CHAOS_DATABASE:-}" \
  tests/services/with-services.sh cargo test --locked -p zun-tests --test chaos -- --ignored after_long_chaos --nocapture
