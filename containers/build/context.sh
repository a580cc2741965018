#!/usr/bin/env bash
# context.sh PART ROOT: copies what an image is made of from the checkout, the current directory, to ROOT/opt/lsd-experiments.
# PART is "dependencies" for what installs these, or "all". What git does not track stays out: volumes, checkpoints, environments.
set -euo pipefail

PART=$1
DEST=$2/opt/lsd-experiments
FILES=(pyproject.toml constraints.txt containers/build)
[ "$PART" = dependencies ] || FILES+=(01_data 02_train 03_predict containers lsd_experiments CITATION.cff LICENSE README.md)

fail() { echo "error: $1" >&2; exit 2; }
said=$(git rev-parse --git-dir 2>&1) || fail "what goes into an image is what git tracks, and git says of $PWD: $(head -n 1 <<< "$said")"

rm -rf "$DEST"
mkdir -p "$DEST"
git ls-files -z -- "${FILES[@]}" |
    while IFS= read -r -d '' file; do if [ -f "$file" ]; then printf '%s\0' "$file"; fi; done |
    tar --create --null --files-from=- |
    tar --extract --no-same-owner --directory="$DEST"
git describe --always --dirty=+ --abbrev=12 --exclude='*' > "$DEST/commit"
chmod -R u+rwX,go+rX,go-w "$DEST"  # for all users of the image, whatever the checkout's are
