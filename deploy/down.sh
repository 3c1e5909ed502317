#!/bin/bash
# Stops the standalone service and removes all its data, also after a crash.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
if [ ! -x "$RELEASE/zun-standalone" ]; then
  # This clone was never built, but another clone may have started the service.
  [ -e "$STATE" ] || exit 0
  build
fi
standalone down >&2
