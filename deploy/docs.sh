#!/bin/bash
# docs.sh: builds the documents as a site in target/book, with mdbook. The first page is README.
set -euo pipefail
. "$(dirname "$0")/lib.sh"
cd "$ROOT"
source=$TARGET/book-source
rm -rf "$source" "$TARGET/book"
mkdir -p "$source/src"
# The layout of the repository stays, so that links between the documents work.
cp -r docs README.md ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md LICENSE "$source/src/"
cat >"$source/book.toml" <<'TOML'
[book]
title = "Zun"
src = "src"

[build]
build-dir = "../book"

[output.html]
no-section-label = true
TOML
{
  echo '# Summary'
  # In the order in which README names them, then the others.
  echo '[Zun](README.md)'
  { grep -o '](docs/[a-z-]*\.md' README.md | sed 's/^](//'; ls docs/*.md; printf '%s\n' ARCHITECTURE.md CONTRIBUTING.md CHANGELOG.md; } \
    | awk '!seen[$0]++' \
    | while read -r page; do printf -- '- [%s](%s)\n' "$(sed -n 's/^# //p;/^# /q' "$page")" "$page"; done
} >"$source/src/SUMMARY.md"
deploy/tool.sh mdbook build "$source"
[ -f "$TARGET/book/README.html" ] || [ -f "$TARGET/book/index.html" ] || fail "mdbook wrote no page"
say "wrote $TARGET/book/index.html"
