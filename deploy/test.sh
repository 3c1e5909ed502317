#!/bin/bash
# All tests, with the services that they need. Arguments go to `cargo test`.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
# The tests run the real binaries of this build.
cargo build --locked --workspace --bins
exec tests/services/with-services.sh cargo test --locked --workspace "$@"
