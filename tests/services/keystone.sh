#!/bin/bash
# keystone.sh COMMAND…: starts Keystone from PyPI on a free port of 127.0.0.1, runs the command, and stops Keystone.
#
#   ZUN_TEST_KEYSTONE=FILE       an openrc file with the credentials of the administrator
#   ZUN_TEST_OPENSTACK=DIR       the programs of the OpenStack clients (openstack with `appcontainer`, zun)
#
# It has the user zun in the project service (role service), and in the project demo the users demo (role member) and
# viewer (role reader). The password of each user is its name. The programs and an empty installation are cached.
set -euo pipefail
. "$(dirname "$0")/lib.sh"

HERE=$(cd "$(dirname "$0")" && pwd)
REQUIREMENTS=$HERE/keystone-requirements.txt
ATTEMPTS=5

# programs: prints a virtual environment with the pinned packages.
programs() {
  local place
  place=$CACHE/keystone-$( (python3 --version && cat "$REQUIREMENTS") | sha256sum | cut -c1-12)
  if [ ! -e "$place/complete" ]; then
    say 'installing Keystone and the OpenStack clients from PyPI'
    rm -rf --one-file-system "$place"
    mkdir -p "$CACHE"
    python3 -m venv "$place" || fail 'cannot create a Python environment: install python3-venv'
    "$place/bin/pip" install -q --disable-pip-version-check -r "$REQUIREMENTS" >&2 \
      || fail 'cannot install Keystone from PyPI: see the output of pip above'
    touch "$place/complete"
  fi
  echo "$place"
}

manage() { "$venv/bin/keystone-manage" --config-file "$place/keystone.conf" "$@" >>"$place/log" 2>&1; }

configure() {
  mkdir -m 700 "$place/fernet" "$place/credential"
  cat >"$place/keystone.conf" <<CONF
[DEFAULT]
use_stderr = true
[database]
# Concurrent requests wait for each other, instead of failing after 5 seconds.
connection = sqlite:///$place/keystone.sqlite?timeout=60
[fernet_tokens]
key_repository = $place/fernet
[credential]
key_repository = $place/credential
[cache]
enabled = false
CONF
}

create() {
  local owner
  owner=$(id -un)
  manage db_sync && manage fernet_setup --keystone-user "$owner" --keystone-group "$(id -gn)" \
    && manage credential_setup --keystone-user "$owner" --keystone-group "$(id -gn)" \
    && OS_BOOTSTRAP_PASSWORD=$password manage bootstrap --bootstrap-region-id RegionOne \
    || { tail -20 "$place/log" >&2; fail 'cannot set up Keystone: see its log above'; }
}

answers() { (exec 3<>"/dev/tcp/127.0.0.1/$port"); }
started_or_ended() { answers || ! kill -0 "$server" 2>/dev/null; }

# start: starts Keystone on a random port; another one if that port is in use.
start() {
  local attempt
  for attempt in $(seq "$ATTEMPTS"); do
    port=$((20000 + RANDOM % 12000))
    if answers 2>/dev/null; then continue; fi
    setpriv --pdeathsig KILL "$venv/bin/python" -W ignore "$HERE/keystone-serve.py" "$place/keystone.conf" "$port" \
      >>"$place/log" 2>&1 7>&- 8>&- 9>&- &
    server=$!
    wait_for 60 Keystone started_or_ended || break
    if answers 2>/dev/null; then return; fi
  done
  tail -20 "$place/log" >&2
  fail "Keystone did not start in $ATTEMPTS attempts: see its log above"
}

write_openrc() {
  cat >"$place/openrc" <<RC
export OS_AUTH_URL=http://127.0.0.1:$port/v3
export OS_USERNAME=admin
export OS_PASSWORD=$password
export OS_PROJECT_NAME=admin
export OS_USER_DOMAIN_NAME=Default
export OS_PROJECT_DOMAIN_NAME=Default
export OS_IDENTITY_API_VERSION=3
export OS_REGION_NAME=RegionOne
RC
  chmod 600 "$place/openrc"
}

# populate: creates the projects, users and the endpoint of Zun's service with one client process.
populate() {
  (. "$place/openrc" && "$venv/bin/python" -W ignore "$HERE/keystone-populate.py" >>"$place/log" 2>&1) \
    || { tail -20 "$place/log" >&2; fail 'cannot create users in Keystone: see its log above'; }
}

stop() {
  trap '' INT TERM HUP
  [ -z "$child" ] || kill -TERM "$child" 2>/dev/null || :
  if [ -n "$server" ]; then
    kill -KILL "$server" 2>/dev/null || :
    wait "$server" 2>/dev/null || :
  fi
  rm -rf --one-file-system "$place"
}

# forget_dead: removes the directories of runs that were killed. A living run holds a lock in its directory.
forget_dead() {
  local old
  for old in /tmp/zun-test-keystone.*; do
    if [ -O "$old/lock" ] && flock -n "$old/lock" true; then rm -rf --one-file-system "$old"; fi
  done
}

[ $# -gt 0 ] || { sed -n '2,9s/^# \?//p' "$0" >&2; exit 2; }
forget_dead
venv=$(programs)
place=$(mktemp -d /tmp/zun-test-keystone.XXXXXX)
exec 7>"$place/lock"
flock 7
password=$(head -c 12 /dev/urandom | base64 | tr -dc 'a-zA-Z0-9')
server= child=
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
configure
create
start
write_openrc
populate
export ZUN_TEST_KEYSTONE=$place/openrc ZUN_TEST_OPENSTACK=$venv/bin
"$@" <&0 7>&- &
child=$!
code=0
wait "$child" || code=$?
child=
exit "$code"
