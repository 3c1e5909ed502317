#!/bin/bash
# simulation.sh [SEEDS]: simulates the whole system with so many seeds (default: 10000), in an optimized build.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

export ZUN_SIMULATION_SEEDS=${1:-10000}
say "simulating $ZUN_SIMULATION_SEEDS seeds"
cargo test --locked --release -p zun-tests --test simulation
