#!/bin/bash
# Installs Zun on this machine (Debian 12 or 13 with systemd). Doing it again changes what differs, and nothing else.
#
#   install.sh controller [--name NAME]… [--listen ADDRESS:PORT]
#       RabbitMQ with TLS, zun-api, the certificate authority and an administrator's token. NAME: what hosts call
#       this machine, names or addresses, the first one first; its own name where none is given.
#   install.sh host NAME [--name NAME]… [--new-password]
#       on the controller: enrols a compute host. Writes /etc/zun/enrolments/NAME.tar, which is for that host alone.
#       NAME: what its certificate may say beside its own name, names and addresses; all that clients dial it by.
#   install.sh compute --enrolment FILE --address NAME:PORT [--name NAME]…
#       on that host: Docker, zun-compute, zun-authz, zun-runtime. NAME:PORT: where clients dial its consoles; NAME: other names
#       and addresses for its certificate. Where it is installed already, --enrolment gives it the new password alone.
#   install.sh client
#       the command zun.
#   install.sh permissions NAME
#       what a host's user may do at RabbitMQ (configure, write, read), one a line.
#
#   --new-password  for controller or host: its user of RabbitMQ gets another password, and connections by the old one end
#   --dry-run    say what would be done, and do nothing
#   --uninstall  take controller, compute or client off this machine; settings, keys and rows stay
#   --purge      with --uninstall: those too
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
PATH=$PATH:/usr/sbin:/sbin
BIN=${ZUN_BIN:-$HERE/bin}
[ -d "$BIN" ] || BIN=$HERE/../target/release

say() { printf 'zun: %s\n' "$*" >&2; }
# told WORDS: what is so now; not in a dry run.
told() { [ -n "$DRY" ] || say "$@"; }
fail() { say "$*"; exit 1; }
usage() { sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//p}' "$0" >&2; exit 2; }

# act WORDS COMMAND…: says it, and does it unless this is a dry run.
act() {
  say "${DRY:+would }$1"
  [ -n "$DRY" ] || "${@:2}" </dev/null
}

# place FILE MODE OWNER: writes stdin there where it differs. CHANGED tells that something did.
place() {
  local file=$1 mode=$2 owner=$3 new
  new=$(mktemp)
  cat >"$new"
  if cmp -s "$new" "$file" && [ "$(stat -c '%a %U:%G' "$file")" = "$mode $owner" ]; then
    rm "$new"
    return
  fi
  CHANGED=yes
  act "write $file" install -D -m "$mode" -o "${owner%:*}" -g "${owner#*:}" "$new" "$file"
  rm "$new"
}

# settle FILE OWNER: as place, for what is an operator's to change: it is written once.
settle() {
  if [ -e "$1" ]; then
    cat >/dev/null
    say "keep $1 as it is"
  else
    place "$1" 600 "$2"
  fi
}

# set_bus_url FILE URL: in settings that are there. By no other program: a command line can be read by everybody.
set_bus_url() {
  local line section='' found='' text=''
  while IFS= read -r line || [ -n "$line" ]; do
    [[ $line != \[* ]] || section=$line
    if [[ $section == '[bus]'* && $line =~ ^url[[:space:]]*= ]]; then
      line="url = \"$2\""
      found=yes
    fi
    text+=$line$'\n'
  done <"$1"
  [ -n "$found" ] || fail "$1 has no url in [bus]: write it there by hand, and give the same command again"
  place "$1" 600 root:root < <(printf %s "$text")
}

binary() {
  local name
  for name in "$@"; do
    [ -x "$BIN/$name" ] || fail "$BIN/$name is missing: build it, or name the folder of the programs in ZUN_BIN"
    place "/usr/local/bin/$name" 755 root:root <"$BIN/$name"
  done
}

unit() {
  local name
  for name in "$@"; do place "/etc/systemd/system/$name" 644 root:root <"$HERE/systemd/$name"; done
}

# The service's user, its folders, the samples and the page that says all this.
grounds() {
  local part=$1
  place "/etc/sysusers.d/$part.conf" 644 root:root <"$HERE/systemd/sysusers.d/$part.conf"
  place "/etc/tmpfiles.d/$part.conf" 644 root:root <"$HERE/systemd/tmpfiles.d/$part.conf"
  place "/usr/local/share/zun/config/$part.toml" 644 root:root <"$HERE/config/$part.toml"
  page
  getent passwd "$part" >/dev/null || act "make the user $part" systemd-sysusers "/etc/sysusers.d/$part.conf"
  [ -n "$DRY" ] || systemd-tmpfiles --create "/etc/tmpfiles.d/$part.conf"
}

page() {
  local page=$HERE/install.md
  [ -e "$page" ] || page=$HERE/../docs/install.md
  place /usr/local/share/doc/zun/install.md 644 root:root <"$page"
}

# start UNIT…: the last one is the service; ready when this returns.
start() {
  local service=${*: -1}
  [ -z "$CHANGED" ] || act 'tell systemd of the units' systemctl daemon-reload
  systemctl is-enabled -q "$@" 2>/dev/null || act "enable $*" systemctl enable -q "$@"
  if [ -n "$CHANGED" ] || ! systemctl is-active -q "$service"; then
    act "start $service" systemctl restart "$service" || fail "$service does not start: journalctl -u $service"
  fi
}

# need COMMAND:PACKAGE…
need() {
  local pair packages=()
  for pair in "$@"; do command -v "${pair%%:*}" >/dev/null || packages+=("${pair#*:}"); done
  [ ${#packages[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null || fail "these packages are missing: ${packages[*]}"
  act "install the Debian packages ${packages[*]}" install_packages "${packages[@]}"
}

install_packages() {
  apt-get update -q >&2
  DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends "$@" >&2
}

random() { head -c 24 /dev/urandom | base64 | tr '+/' '-_'; }

# As zun-common has it, and not one whose queues would be another host's: zun-compute.NAME and zun-compute.NAME.ask.
host_name() {
  local label='[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?'
  if ! [[ $1 =~ ^$label(\.$label)*$ ]] || [ ${#1} -gt 253 ] || [[ $1 == *.ask ]]; then
    fail "\`$1\` is no host name: it must be lower-case DNS labels joined by dots, and not end in .ask"
  fi
}

permissions() {
  host_name "$1"
  local own="zun-compute\\.${1//./\\.}(\\.ask)?"
  echo "^$own\$"
  # Replies and reports go through the default exchange; what the host refuses is kept aside behind zun.dead.
  echo "^($own|amq\\.default|zun\\.dead)\$"
  echo "^$own\$"
}

# remove FILE…, and folders that are empty then
remove() {
  local file
  for file in "$@"; do
    if [ -d "$file" ] && [ ! -L "$file" ]; then
      [ -n "$DRY" ] || rmdir "$file" 2>/dev/null || :
    elif [ -e "$file" ] || [ -L "$file" ]; then
      act "remove $file" rm -f "$file"
    fi
  done
}

# off PART UNIT…: stops and removes the units and the grounds of a part.
off() {
  local part=$1 name
  for name in "${@:2}"; do
    if [ -e "/etc/systemd/system/$name" ]; then
      act "stop $name" systemctl disable -q --now "$name" || :
      remove "/etc/systemd/system/$name"
    fi
  done
  remove "/etc/sysusers.d/$part.conf" "/etc/tmpfiles.d/$part.conf" "/usr/local/share/zun/config/$part.toml"
  [ -n "$DRY" ] || systemctl daemon-reload
  if [ -n "$PURGE" ] && getent passwd "$part" >/dev/null; then act "remove the user $part" userdel "$part"; fi
}

# off_shared PROGRAM: what several parts have, once the last one is gone. PROGRAM: of the part that goes.
off_shared() {
  local program
  for program in zun-api zun-compute; do
    [ "$program" = "$1" ] || [ ! -e "/usr/local/bin/$program" ] || return 0
  done
  remove /usr/local/share/doc/zun/install.md /usr/local/share/doc/zun /usr/local/share/zun/config /usr/local/share/zun
  [ -z "$PURGE" ] || remove /etc/zun/bus-ca.pem /etc/zun/enrolments /etc/zun
}

client() {
  binary zun
  page
  told "the command zun is there: set OS_ENDPOINT and OS_TOKEN, and see zun --help"
}

client_off() {
  remove /usr/local/bin/zun
  off_shared zun
}

# --- the command line ----------------------------------------------------------------------------
PART=${1:-} DRY='' OFF='' PURGE='' CHANGED='' NEW_PASSWORD='' RENEWED='' NAMES=() LISTEN=127.0.0.1:9517 ENROLMENT='' ADDRESS='' HOST=''
[ $# -gt 0 ] && shift
case $PART in host | permissions) HOST=${1:-}; [ $# -gt 0 ] && shift ;; esac
while [ $# -gt 0 ]; do
  case $1 in
    --dry-run) DRY=yes ;;
    --uninstall) OFF=yes ;;
    --purge) PURGE=yes ;;
    --new-password) NEW_PASSWORD=yes ;;
    --name | --listen | --enrolment | --address)
      [ $# -gt 1 ] || fail "$1 wants a value"
      case $1 in
        --name) NAMES+=("$2") ;;
        --listen) LISTEN=$2 ;;
        --enrolment) ENROLMENT=$2 ;;
        --address) ADDRESS=$2 ;;
      esac
      shift ;;
    *) fail "\`$1\` is not known here; see $0" ;;
  esac
  shift
done
# shellcheck source=deploy/install/controller.sh
. "$HERE/install/controller.sh"
# shellcheck source=deploy/install/compute.sh
. "$HERE/install/compute.sh"

case $PART in
  controller | compute | client | host) ;;
  permissions) permissions "$HOST"; exit ;;
  *) usage ;;
esac
[ "$(id -u)" = 0 ] || fail "this needs root: run it as root, or with sudo"
[ -d /run/systemd/system ] || fail "systemd does not run here"
[ -z "$PURGE" ] || [ -n "$OFF" ] || fail "--purge goes with --uninstall"
case $PART in
  controller | host) ;;
  *) [ -z "$NEW_PASSWORD" ] || fail "--new-password goes with controller or host" ;;
esac
umask 022
case $PART in
  host) [ -z "$OFF" ] || PART=host_off ;;
  *) [ -z "$OFF" ] || PART=${PART}_off ;;
esac
"$PART"
