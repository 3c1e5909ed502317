#!/bin/bash
# Removes the testbed: its hosts, engine, bridges and state. The tars of its images stay in target/test-cache.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
need_root "$@"
if engine version >/dev/null 2>&1; then
  engine ps -aq | xargs -r docker --host "unix://$SOCKET" rm -fv >/dev/null
  engine network rm "$NETWORK" >/dev/null 2>&1 || :
fi
stop_engine
rm -f "$TARGET/testbed.env" "$TARGET/testbed-ca.pem"
say "removed"
