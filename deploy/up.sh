#!/bin/bash
# Starts the standalone service in the background and gives it an image. Does nothing if it runs already.
#
# ZUN_AUTH=keystone ZUN_KEYSTONE_RC=FILE: callers log in to the Keystone of this openrc file. It must have the user `zun`
# with the password `zun` and a role that may validate tokens in the project `service`.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
"$ROOT/deploy/packages.sh" run
build
mkdir -p "$TARGET"
arguments=(--listen "$LISTEN")
next="source $ENV_FILE, then use zun"
case ${ZUN_AUTH:-token} in
  token) ;;
  keystone)
    [ -r "${ZUN_KEYSTONE_RC:-}" ] || fail 'ZUN_AUTH=keystone needs ZUN_KEYSTONE_RC=FILE, the openrc file of a Keystone administrator'
    # shellcheck disable=SC1090,SC2031
    url=$(. "$ZUN_KEYSTONE_RC" && echo "${OS_AUTH_URL:-}")
    [ -n "$url" ] || fail "$ZUN_KEYSTONE_RC does not set OS_AUTH_URL"
    # Its documented password: this is a trial on one machine.
    (umask 077 && echo zun >"$TARGET/keystone-password")
    arguments+=(--keystone "${url%/v3}/v3" --keystone-password-file "$TARGET/keystone-password")
    next="source $ZUN_KEYSTONE_RC and $ENV_FILE, then use zun"
    ;;
  *) fail "ZUN_AUTH must be token or keystone, not '$ZUN_AUTH'" ;;
esac
standalone up "${arguments[@]}" >&2
as_root "$ROOT/deploy/image.sh" "$STATE/engine/docker.sock"
say "ready; next: $next"
