#!/bin/bash
# postgres.sh COMMAND…: starts PostgreSQL from Debian's package, runs the command with ZUN_TEST_POSTGRES=postgres://…, and
# stops the server. It listens on a free port of 127.0.0.1 and asks for a password. As root, it runs as the user postgres.
#
# Its data is in a directory of its own under /tmp. A server that the machine already runs is not touched.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

ATTEMPTS=5

# programs: prints the directory of the newest installed server.
programs() {
  local newest
  newest=$(find /usr/lib/postgresql/*/bin/postgres 2>/dev/null | sort -V | tail -1)
  [ -n "$newest" ] || fail 'PostgreSQL is missing; install it with deploy/packages.sh test'
  dirname "$newest"
}

# The owner of the data, who runs the server: it refuses to run as root. The server ends with this script, even if that is
# killed.
as_owner=(setpriv --pdeathsig QUIT)
[ "$(id -u)" != 0 ] || as_owner+=(--reuid postgres --regid postgres --init-groups)

# create: creates the cluster. Its default order of text is not that of bytes, so that the tests see what depends on it.
create() {
  (umask 077 && echo "$password" >"$place/password")
  [ "$(id -u)" != 0 ] || chown postgres: "$place/password"
  "${as_owner[@]}" "$bin/initdb" -D "$place/data" -U zun_test -E UTF8 --locale=C.UTF-8 --locale-provider=icu --icu-locale=en-US \
    --auth-local=trust --auth-host=scram-sha-256 --pwfile="$place/password" --no-sync >"$place/log" 2>&1 \
    || { cat "$place/log" >&2; fail 'cannot create the database cluster: see the output of initdb above'; }
}

answers() { "$bin/pg_isready" -q -h "$place" -p "$port"; }

# start: starts the server on a random port; another one if that port is in use.
start() {
  local attempt
  for attempt in $(seq "$ATTEMPTS"); do
    port=$((20000 + RANDOM % 12000))
    "${as_owner[@]}" "$bin/postgres" -D "$place/data" -p "$port" -k "$place" -c listen_addresses=127.0.0.1 -c fsync=off \
      -c full_page_writes=off -c max_connections=200 -c shared_buffers=64MB >>"$place/log" 2>&1 8>&- 9>&- &
    server=$!
    wait_for 30 PostgreSQL started_or_ended || break
    if answers; then return; fi
  done
  tail -20 "$place/log" >&2
  fail "PostgreSQL did not start in $ATTEMPTS attempts: see its log above"
}

started_or_ended() { answers || ! kill -0 "$server" 2>/dev/null; }

stop() {
  trap '' INT TERM HUP
  [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || :
  if [ -n "$server" ]; then
    kill -QUIT "$server" 2>/dev/null || :
    wait "$server" 2>/dev/null || :
  fi
  rm -rf --one-file-system "$place"
}

# forget_dead: removes the directories of runs that were killed. A living run holds a lock in its directory.
forget_dead() {
  local old
  for old in /tmp/zun-test-postgres.*; do
    if [ -O "$old/lock" ] && flock -n "$old/lock" true; then rm -rf --one-file-system "$old"; fi
  done
}

[ $# -gt 0 ] || { sed -n '2,6s/^# \?//p' "$0" >&2; exit 2; }
forget_dead
bin=$(programs)
place=$(mktemp -d /tmp/zun-test-postgres.XXXXXX)
[ "$(id -u)" != 0 ] || chown postgres: "$place"
exec 8>"$place/lock"
flock 8
password=$(head -c 12 /dev/urandom | base64 | tr -dc 'a-zA-Z0-9')
server= child=
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
create
start
export ZUN_TEST_POSTGRES="postgres://zun_test:$password@127.0.0.1:$port/postgres"
"$@" <&0 8>&- &
child=$!
code=0
wait "$child" || code=$?
child=
exit "$code"
