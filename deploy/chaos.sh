#!/bin/bash
# Runs the chaos test in its long form with each database, with one RabbitMQ and a cluster of three. Prints the reports,
# also into target/chaos, and at the end one line for each run. Settings in the environment:
#   ZUN_CHAOS_SEEDS=N        number of runs of each kind (default: 1)
#   ZUN_CHAOS_SEED=N         run the schedule of an earlier run again (default: random)
#   ZUN_CHAOS_OPERATIONS=N   number of steps of all clients together (default: 2400, about 6 minutes)
#   ZUN_CHAOS_DATABASE=KIND  only with this database of zun-api: sqlite or postgres
#   ZUN_CHAOS_BROKERS=N      only with so many RabbitMQ nodes
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

cargo build --locked --workspace --bins
cargo test --locked --workspace --test chaos --no-run
mkdir -p "$TARGET/chaos"
: >"$TARGET/chaos/summary.txt"
code=0
for run in $(seq "${ZUN_CHAOS_SEEDS:-1}"); do
  for database in ${ZUN_CHAOS_DATABASE:-sqlite postgres}; do
    for brokers in ${ZUN_CHAOS_BROKERS:-1 3}; do
      say "run $run: $database, $brokers RabbitMQ"
      as_root env "PATH=$PATH" "HOME=$HOME" "CARGO_TARGET_DIR=$TARGET" "ZUN_CHAOS_SEED=${ZUN_CHAOS_SEED:-}" \
        "ZUN_CHAOS_OPERATIONS=${ZUN_CHAOS_OPERATIONS:-}" "ZUN_CHAOS_DATABASE=$database" "ZUN_CHAOS_BROKERS=$brokers" \
        tests/services/with-services.sh cargo test --locked --workspace --test chaos -- \
        --ignored after_long_chaos --nocapture || code=1
    done
  done
done
cat "$TARGET/chaos/summary.txt"
exit "$code"
