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
# The site has no sources: a link to one becomes its text.
sed -E -i 's/\[([^]]*)\]\((\.\.\/)*(tests|deploy|zun-api|zun-common|zun-compute|zunclient|web)\/[^)]*\)/\1/g' "$source"/src/*.md "$source"/src/docs/*.md
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
[ -f "$TARGET/book/index.html" ] || fail "mdbook wrote no page"
# Other pages link to it by its own name.
cp "$TARGET/book/index.html" "$TARGET/book/README.html"
broken=$(
  cd "$TARGET/book"
  # Not the page for missing pages, whose links are those of the root.
  find . -name '*.html' ! -name 404.html | while read -r page; do
    { grep -oE '(href|src)="[^"#?:]+["#?]' "$page" || :; } | sed 's/^[a-z]*="//; s/.$//' | sort -u | while read -r link; do
      [ -e "${page%/*}/$link" ] || say "$page: $link"
    done 2>&1
  done
)
[ -z "$broken" ] || fail "broken links in the site: $broken"
say "wrote $TARGET/book/index.html"
