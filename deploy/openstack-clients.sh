#!/bin/bash
# Writes docs/openstack-clients.md: runs every verb of the real `openstack appcontainer` against the standalone service.
# Build it before: cargo build --workspace --bins
set -euo pipefail
cd "$(dirname "$0")/.."
new=$(mktemp)
trap 'rm -f "$new"' EXIT
# shellcheck disable=SC2016
tests/services/with-services.sh sh -c \
  '"$ZUN_TEST_OPENSTACK/python" tests/services/openstack-clients.py "$ZUN_TEST_STANDALONE"' >"$new"
cp "$new" docs/openstack-clients.md
