#!/bin/bash
# Starts a shell in a container: installs packages, builds, starts the standalone service, gets an image, and runs
# `zun run -i --name test cirros /bin/sh` on this terminal or pipe. It stops what it started, and exits with the exit code
# of the shell.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

finish() {
  local code=$?
  trap - EXIT
  if [ -n "$started" ]; then "$ROOT/deploy/down.sh" || say "could not remove everything: run make down"; fi
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
  # The service was already running: leave no container in it.
  say "zun run -i --rm --name test cirros /bin/sh"
  zun run -i --rm --name test cirros /bin/sh
fi
