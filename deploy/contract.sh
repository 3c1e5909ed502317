#!/bin/bash
# contract.sh [EXAMPLES]: sends random requests to zun-api, at most so many to each route (default: 100), and checks its
# answers against its OpenAPI document. Fails if there were fewer than 10,000 requests (with fewer examples, 100 for each
# example). Schemathesis comes from PyPI.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"

REQUIREMENTS=tests/services/schemathesis-requirements.txt
place=$TARGET/test-cache/schemathesis-$( (python3 --version && cat "$REQUIREMENTS") | sha256sum | cut -c1-12)
if [ ! -e "$place/complete" ]; then
  say 'installing schemathesis from PyPI'
  rm -rf --one-file-system "$place"
  mkdir -p "$TARGET/test-cache"
  python3 -m venv "$place" || fail 'cannot create a Python environment: install python3-venv'
  "$place/bin/pip" install -q --disable-pip-version-check -r "$REQUIREMENTS" >&2 \
    || fail 'cannot install schemathesis from PyPI: see the output of pip above'
  touch "$place/complete"
fi
export ZUN_TEST_SCHEMATHESIS=$place/bin/schemathesis ZUN_TEST_EXAMPLES=${1:-100}
cargo test --locked --workspace --test api -- --ignored random_requests --nocapture
