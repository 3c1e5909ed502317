#!/bin/bash
# A shell in a container, from nothing: packages, build, the standalone service, an image, and then
# `zun run -i --name test cirros /bin/sh` on this terminal or pipe. What it started, it takes down.
# Its exit code is the shell's.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

finish() {
  local code=$?
  trap - EXIT
  if [ -n "$started" ]; then "$ROOT/deploy/down.sh" || say "not all was taken down: try make down"; fi
  exit "$code"
}

started=
running() { [ -x "$RELEASE/zun-standalone" ] && standalone status >/dev/null 2>&1; }
trap 'exit 130' INT
trap 'exit 143' TERM HUP
trap finish EXIT
running || started=yes
"$ROOT/deploy/up.sh" </dev/null || exit 125
# shellcheck disable=SC1090
. "$ENV_FILE"
if [ -n "$started" ]; then
  say "zun run -i --name test cirros /bin/sh"
  zun run -i --name test cirros /bin/sh
else
  # The service was up before: leave nothing of ours in it.
  say "zun run -i --rm --name test cirros /bin/sh"
  zun run -i --rm --name test cirros /bin/sh
fi
