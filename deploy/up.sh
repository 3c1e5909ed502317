#!/bin/bash
# Starts the standalone service in the background and gives it an image. Does nothing if it runs already.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
"$ROOT/deploy/packages.sh" run
build
mkdir -p "$TARGET"
standalone up --listen "$LISTEN" >&2
as_root "$ROOT/deploy/image.sh" "$STATE/engine/docker.sock"
say "ready; next: source $ENV_FILE, then use zun"
