#!/usr/bin/env bash
# Programs of others, whose files are read and who read ours: an environment for each, since they want different versions of the
# same packages. tests/others skips what is not there.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

PLACE=.venv-others
PYTHON=${PYTHON:-.venv/bin/python}

install() {
    local name=$1
    shift
    if [ "$(cat "$PLACE/$name/installed" 2>/dev/null)" = "$*" ]; then return; fi
    printf '==> %s: %s\n' "$name" "$*"
    "$PYTHON" -m venv --clear "$PLACE/$name"
    "$PLACE/$name/bin/python" -m pip install -qq --disable-pip-version-check "$@"
    echo "$*" > "$PLACE/$name/installed"
}

install ome-zarr zarr==3.1.6 ome-zarr==0.18.0 ome-zarr-models==1.7 tensorstore==0.1.86
install cloud-volume cloud-volume==12.15.2 pyspng-seunglab
install webknossos webknossos==4.3.3
