#!/bin/bash
# Builds and tests the pages for browsers, in web/. The next build of zun-console and zun-api contains what is in web/dist.
#
#   web.sh build          build the pages; without npm or its packages, print a notice and exit with 0: the programs
#                         work without the pages
#   web.sh check          check the types
#   web.sh test           build, and test the pages in Debian's Chromium; with ZUN_TEST_LONG, compare all pictures
#   web.sh test-gate      test the web console with the gate that ZUN_TEST_WEB describes, as a test of the gate does
#   web.sh test-service   test the dashboard with the service that ZUN_TEST_WEB describes, as a test of the CLI does
#   web.sh pictures       take the screenshots of docs/web-console.md, and those that the tests compare with
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT/web"

# Installs the packages of the lock file, once for each version of it.
install_packages() {
  cmp -s package-lock.json node_modules/.installed && return
  say "installing the packages of web/package-lock.json"
  npm ci --no-progress --loglevel=error >&2 && cp package-lock.json node_modules/.installed
}

must_install() { install_packages || fail "cannot install the packages of web/: see the output of npm above"; }

build_pages() { npm run --silent build >&2; }

# run_tests KIND: builds the tests in tests/KIND, and runs them. The output is that of a terminal, also in a pipe.
run_tests() {
  node build.mjs "$1"
  node --test --test-reporter=spec "dist/tests/$1/"
}

case ${1:-} in
  build)
    if ! command -v npm >/dev/null; then
      say "npm is missing: the programs are built without the pages for browsers"
    elif install_packages; then
      build_pages
    else
      say "npm cannot install the packages: the programs are built without the pages for browsers"
    fi
    ;;
  check)
    "$ROOT/deploy/packages.sh" web
    must_install
    npm run --silent check
    ;;
  test)
    "$ROOT/deploy/packages.sh" test
    must_install
    build_pages
    run_tests unit
    run_tests browser
    run_tests pictures
    ;;
  test-gate)
    must_install
    run_tests gate
    ;;
  test-service)
    must_install
    run_tests service
    ;;
  pictures)
    "$ROOT/deploy/packages.sh" test
    must_install
    build_pages
    ZUN_WRITE_PICTURES=1 run_tests pictures
    ;;
  *) sed -n '4,10s/^# *//p' "$0" >&2; exit 2 ;;
esac
