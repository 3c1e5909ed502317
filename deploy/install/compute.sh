# A compute host: Docker, zun-compute, zun-authz, zun-runtime. Sourced by install.sh.
# shellcheck shell=bash

compute() {
  need dockerd:docker.io
  binary zun-compute zun-authz zun-runtime
  grounds zun-compute
  enrolled
  unit zun-authz.socket zun-authz.service zun-authz.service.d/agent.conf zun-docker-setup.service zun-compute.service
  [ -z "$CHANGED" ] || act 'tell systemd of the units' systemctl daemon-reload
  act "set up Docker's listener" /usr/local/bin/zun-compute --config /etc/zun/zun-compute.toml docker-setup \
    || fail "Docker was left as it was; once that is mended, give the same command again"
  start zun-compute.service
  told "the agent of this host serves"
}

# The settings, from what the controller gave; once.
enrolled() {
  if [ -e /etc/zun/zun-compute.toml ]; then
    say "keep /etc/zun/zun-compute.toml as it is"
    return
  fi
  [ -f "$ENROLMENT" ] || fail "--enrolment FILE is missing: the controller writes it (install.sh host NAME)"
  [[ $ADDRESS =~ ^[^:/]+:[0-9]+$|^\[[0-9a-f:]+\]:[0-9]+$ ]] \
    || fail "--address \`$ADDRESS\` must be like compute1.example.org:2376: where clients dial this host's consoles"
  local host
  host=$(from_enrolment host)
  host_name "$host"
  place /etc/zun/bus-ca.pem 644 root:root < <(from_enrolment bus-ca.pem)
  settle /etc/zun/zun-compute.toml root:root < <(compute_settings "$host")
}

from_enrolment() { tar -xOf "$ENROLMENT" "$1" || fail "$ENROLMENT is no enrolment"; }

compute_settings() {
  local names
  names=$(printf ', "%s"' "${NAMES[@]}")
  [ ${#NAMES[@]} -gt 0 ] || names=
  cat <<TOML
# Every key: /usr/local/share/zun/config/zun-compute.toml
host = "$1"

[bus]
url = "$(from_enrolment bus-url)"
ca_file = "/etc/zun/bus-ca.pem"

[console]
address = "$ADDRESS"
api_version = "$(engine_version)"
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

compute_off() {
  # The agent first: it would ask for a certificate again.
  [ ! -e /etc/systemd/system/zun-compute.service ] || act 'stop zun-compute.service' systemctl stop zun-compute.service
  if [ -x /usr/local/bin/zun-compute ] && [ -e /etc/zun/zun-compute.toml ]; then
    act "put Docker's listener back as it was" \
      /usr/local/bin/zun-compute --config /etc/zun/zun-compute.toml docker-setup --undo
  fi
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
