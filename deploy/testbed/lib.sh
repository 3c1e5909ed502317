# What the scripts of the testbed share. Sourced, never run.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../../tests/services/lib.sh"
BED=$TARGET/testbed
SOCKET=$BED/docker.sock
# The engine must have a default bridge of its own; the hosts are on another one, on which they have fixed addresses.
DEFAULT=zunbed0
BRIDGE=zunbed1
NETWORK=zunbed
SUBNET=10.214.77
# The hosts: name, image, last number of the address.
HOSTS=(controller:zunbed-controller:10 compute1:zunbed-compute12:11 compute2:zunbed-compute13:12)

say() { printf 'testbed: %s\n' "$*" >&2; }
engine() { docker --host "unix://$SOCKET" "$@"; }
# on HOST COMMAND…
on() { engine exec -i "$1" "${@:2}"; }
address() {
  local host
  for host in "${HOSTS[@]}"; do [ "${host%%:*}" != "$1" ] || echo "$SUBNET.${host##*:}"; done
}

# Whose testbed is up on this machine: its folder stands on its bridge. Fails where there is none.
owner() { [ -e "/sys/class/net/$DEFAULT" ] && cat "/sys/class/net/$DEFAULT/ifalias"; }

# Names and addresses are fixed, so there is one testbed at a time.
no_other() {
  local other
  other=$(owner) || return 0
  [ "${other:-$BED}" = "$BED" ] || fail "another testbed is up on this machine, in $other: make testbed-down there first"
}

# --- the outer engine: our own, beside the machine's ----------------------------------------------
start_engine() {
  if engine version >/dev/null 2>&1; then return; fi
  ! owner >/dev/null || fail "what a killed run left is still there: make testbed-down"
  ip -4 address show | grep -q " ${SUBNET//./\\.}\." && fail "the addresses $SUBNET.0/24 are in use on this machine"
  mkdir -p "$BED/data" "$BED/run"
  echo '{}' >"$BED/daemon.json"
  ip link add "$DEFAULT" type bridge || fail "another testbed is just being brought up on this machine"
  ip link set "$DEFAULT" alias "$BED"
  ip address add 10.214.78.1/24 dev "$DEFAULT"
  ip link set "$DEFAULT" up
  # Where the machine's firewall looks at what passes a bridge, the hosts must reach each other all the same.
  iptables -w -I FORWARD -i "$BRIDGE" -o "$BRIDGE" -m comment --comment zun-testbed -j ACCEPT
  setsid dockerd --config-file "$BED/daemon.json" --data-root "$BED/data" --exec-root "$BED/run" \
    --pidfile "$BED/dockerd.pid" -H "unix://$SOCKET" --bridge "$DEFAULT" --iptables=false --ip-masq=false \
    --ip-forward=false --containerd-namespace zun-testbed --containerd-plugins-namespace zun-testbed-plugins \
    --log-level warn </dev/null >"$BED/dockerd.log" 2>&1 9>&- &
  wait_for 60 'the outer engine' engine version || { tail -20 "$BED/dockerd.log" >&2; exit 1; }
}

# Processes of ours: those whose command line names our folder.
ours() {
  local line pid words
  for line in /proc/[0-9]*/cmdline; do
    pid=${line#/proc/} pid=${pid%/cmdline}
    [ "$pid" != $$ ] || continue
    words=$(tr '\0' ' ' 2>/dev/null <"$line" || :)
    case $words in *dockerd*"$BED/"* | *containerd*"$BED/"*) echo "$pid" ;; esac
  done
}
gone() { [ -z "$(ours)" ]; }

stop_engine() {
  local mount pid
  if [ -s "$BED/dockerd.pid" ]; then
    pid=$(cat "$BED/dockerd.pid")
    case " $(ours | tr '\n' ' ') " in *" $pid "*) kill "$pid" 2>/dev/null || : ;; esac
    wait_for 20 'the end of the outer engine' gone || :
  fi
  for pid in $(ours); do kill -9 "$pid" 2>/dev/null || :; done
  awk -v under="$BED/" 'index($2, under) == 1 {print $2}' /proc/mounts | sort -r | while read -r mount; do
    umount -l "$mount" || :
  done
  rm -rf --one-file-system "$BED"
  # Bridges and rule have fixed names: another testbed's stay.
  (no_other) 2>/dev/null || return 0
  while iptables -w -D FORWARD -i "$BRIDGE" -o "$BRIDGE" -m comment --comment zun-testbed -j ACCEPT 2>/dev/null; do :; done
  ip link del "$BRIDGE" 2>/dev/null || :
  ip link del "$DEFAULT" 2>/dev/null || :
}
