#!/bin/bash
# Stops the standalone service, also after a crash, and removes everything of it.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
if [ ! -x "$RELEASE/zun-standalone" ]; then
  # Never built here, so never started from here; but another clone may have.
  [ -e "$STATE" ] || exit 0
  build
fi
standalone down >&2
