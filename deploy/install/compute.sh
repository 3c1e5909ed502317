# A compute host: Docker, zun-compute, zun-authz, zun-runtime. Sourced by install.sh.
# shellcheck shell=bash

DROP_IN=/etc/systemd/system/docker.service.d/zun.conf
SETUP=/var/lib/zun-docker-setup

compute() {
  need dockerd:docker.io
  binary zun-compute zun-authz zun-runtime
  grounds zun-compute
  enrolled
  local others=$CHANGED plugin
  CHANGED=
  unit zun-authz.socket zun-authz.service zun-authz.service.d/agent.conf
  plugin=$CHANGED
  unit zun-docker-setup.service zun-compute.service
  [ -z "$others" ] || CHANGED=yes
  [ -z "$CHANGED" ] || act 'tell systemd of the units' systemctl daemon-reload
  if [ -e "$SETUP/undone" ]; then
    say "Docker's listener stays closed: \`docker-setup --undo\` was called here, and \`docker-setup\` ends that"
  else
    act "set up Docker's listener" /usr/local/bin/zun-compute --config /etc/zun/zun-compute.toml docker-setup \
      || fail "Docker was left as it was; once that is mended, give the same command again"
  fi
  renew_plugin "$plugin"
  start zun-compute.service
  told "the agent of this host serves"
}

# renew_plugin CHANGED: the plugin that runs is the one that is installed, by its unit as it is. Its socket stays, so
# that Docker's questions wait meanwhile.
renew_plugin() {
  local pid
  pid=$(systemctl show -P MainPID zun-authz.service 2>/dev/null || echo 0)
  [ "$pid" -gt 0 ] 2>/dev/null || return 0
  [ -n "$1" ] || ! [ "/proc/$pid/exe" -ef /usr/local/bin/zun-authz ] || return 0
  act 'restart zun-authz.service; consoles go on' systemctl try-restart zun-authz.service \
    || fail "zun-authz does not start, and Docker answers nobody without it: journalctl -u zun-authz"
  [ -n "$DRY" ] || timeout 20 /usr/local/bin/zun-authz --stats >/dev/null \
    || fail "zun-authz does not answer, and Docker answers nobody without it: journalctl -u zun-authz"
}

# The settings, from what the controller gave; once. A later enrolment says how the bus is reached, and no more.
enrolled() {
  local file=/etc/zun/zun-compute.toml host url authority version
  if [ -e "$file" ] && [ -z "$ENROLMENT" ]; then
    say "keep $file as it is"
    return
  fi
  [ -f "$ENROLMENT" ] || fail "--enrolment FILE is missing: the controller writes it (install.sh host NAME)"
  # Each on its own: a failure inside of a longer line would not end this script.
  host=$(from_enrolment host)
  url=$(from_enrolment bus-url)
  authority=$(from_enrolment bus-ca.pem)
  host_name "$host"
  [[ $url =~ ^amqps://[^[:space:]\"]+$ && $authority == *'END CERTIFICATE'* ]] || fail "$ENROLMENT is no enrolment"
  if [ -e "$file" ]; then
    grep -qx "host = \"$host\"" "$file" || fail "$ENROLMENT is for $host, and $file is not"
    place /etc/zun/bus-ca.pem 644 root:root <<<"$authority"
    set_bus_url "$file" "$url"
    return
  fi
  [[ $ADDRESS =~ ^[^:/]+:[0-9]+$|^\[[0-9a-f:]+\]:[0-9]+$ ]] \
    || fail "--address \`$ADDRESS\` must be like compute1.example.org:2376: where clients dial this host's consoles"
  version=$(engine_version)
  place /etc/zun/bus-ca.pem 644 root:root <<<"$authority"
  settle "$file" root:root < <(compute_settings "$host" "$url" "$version")
  told "$ENROLMENT has done its part: delete it here, and on the controller"
}

from_enrolment() { tar -xOf "$ENROLMENT" "$1" || fail "$ENROLMENT is no enrolment"; }

# compute_settings HOST URL VERSION
compute_settings() {
  local names
  names=$(printf ', "%s"' "${NAMES[@]}")
  [ ${#NAMES[@]} -gt 0 ] || names=
  cat <<TOML
# Every key: /usr/local/share/zun/config/zun-compute.toml
host = "$1"

[bus]
url = "$2"
ca_file = "/etc/zun/bus-ca.pem"

[console]
address = "$ADDRESS"
api_version = "$3"
notify_socket = "/run/zun-compute/notify.sock"
certificates = "/etc/zun/pki"
names = [${names#, }]
TOML
}

# The newest version of Docker's API that the engine speaks.
engine_version() {
  docker version --format '{{.Server.APIVersion}}' 2>/dev/null || { [ -n "$DRY" ] && echo 1.41; } \
    || fail "Docker does not answer: systemctl status docker"
}

# Whether containers were made with zun-runtime, which they need for as long as they are there; also where nobody can say.
sized() {
  local containers runtimes
  command -v docker >/dev/null || return 1
  containers=$(docker ps -aq --no-trunc 2>/dev/null) || return 0
  [ -n "$containers" ] || return 1
  # shellcheck disable=SC2086
  runtimes=$(docker inspect -f '{{.HostConfig.Runtime}}' $containers 2>/dev/null) || :
  grep -qx zun-sized <<<"$runtimes"
}

# Docker requires zun-authz.socket for as long as the drop-in says so: without it Docker would not start any more.
listener_off() {
  local program=/usr/local/bin/zun-compute
  [ -x "$program" ] || program=$BIN/zun-compute
  if [ -e "$SETUP/former.json" ]; then
    [ -x "$program" ] || fail "$program is missing, and only it can put Docker's listener back as it was"
    act "put Docker's listener back as it was" "$program" --config /etc/zun/zun-compute.toml docker-setup --undo \
      || fail "nothing was taken away: Docker would not start without zun-authz"
  fi
  if [ -e "$DROP_IN" ] && [ -z "$DRY" ]; then
    fail "$DROP_IN is there, and $SETUP/former.json, which says what was there before, is not: remove it, put Docker's \
settings right by hand, restart Docker, and give the same command again"
  fi
  # Whoever installs it again wants the listener again.
  remove "$SETUP/undone" "$SETUP"
}

compute_off() {
  # The agent first: it would ask for a certificate again.
  [ ! -e /etc/systemd/system/zun-compute.service ] || act 'stop zun-compute.service' systemctl stop zun-compute.service
  listener_off
  remove /etc/systemd/system/zun-authz.service.d/agent.conf /etc/systemd/system/zun-authz.service.d
  off zun-compute zun-compute.service zun-docker-setup.service zun-authz.service zun-authz.socket
  remove /usr/local/bin/zun-compute /usr/local/bin/zun-authz
  if sized; then
    say "kept: /usr/local/bin/zun-runtime, which containers that were made with it need; once they are removed, give the same command again"
  else
    remove /usr/local/bin/zun-runtime
  fi
  if [ -n "$PURGE" ]; then
    act 'remove the settings, the certificate and the sizes of terminals' \
      rm -rf /etc/zun/pki /etc/zun/zun-compute.toml /var/lib/zun-compute
  else
    say "kept: /etc/zun (--purge removes it)"
  fi
  off_shared zun-compute
}
