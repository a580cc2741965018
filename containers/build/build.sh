#!/usr/bin/env bash
# ./setup.sh container: builds lsd.img from this checkout, in two steps: an image of the dependencies, which is kept for the next
# build, and from it the one with the code.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

DEFINITION=containers/lsd.def
KEPT=${LSD_DEPENDENCY_IMAGES:-containers}  # where images of dependencies are kept
declare -A ROOM=([cpu]=8 [gpu]=30)  # GB that building takes at most, in the directory for temporary files

help() {
    cat <<'HELP'
usage: ./setup.sh container [--cpu] [--base IMAGE] [--output FILE]

  --cpu          TensorFlow without CUDA: a smaller image, for machines without a GPU
  --base IMAGE   what to build on: a file, a directory, or a name in a registry, like docker.io/library/python:3.12-slim
                 (default: docker.io/library/python:3.11-slim-bookworm). It needs Python 3.11, 3.12 or 3.13 with venv
  --output FILE  the image (default: lsd.img)

What git tracks goes into the image, as it is in the checkout now. An image of the dependencies is kept in containers/
(or LSD_DEPENDENCY_IMAGES) for the next build. Temporary files go to APPTAINER_TMPDIR, TMPDIR or /tmp.
HELP
}

say() { printf '==> %s\n' "$*"; }
fail() { printf 'error: %s\n' "$1" >&2; exit "${2:-2}"; }

variant=gpu
base=docker.io/library/python:3.11-slim-bookworm
output=lsd.img
parse() {
    while [ $# -gt 0 ]; do
        case $1 in
            -h | --help) help; exit ;;
            --cpu) variant=cpu ;;
            --base | --output)
                [ $# -gt 1 ] && [ -n "$2" ] || fail "$1 needs a value: ./setup.sh container --help"
                printf -v "${1#--}" %s "$2"
                shift ;;
            *) fail "container does not know '$1': ./setup.sh container --help" ;;
        esac
        shift
    done
}

# Sets bootstrap, base and identity, the base's content or name: dependencies are installed again when it changes.
find_base() {
    identity=$base
    case $base in
        docker://*) bootstrap=docker base=${base#docker://} ;;
        *://*) bootstrap=${base%%://*} base=${base#*://} ;;
        /* | ./* | ../* | *.img | *.sif)
            [ -e "$base" ] || fail "--base $base: not there. Name an image file, a directory, or docker://NAME"
            bootstrap=localimage
            if [ -f "$base" ]; then identity=$(sha256sum < "$base"); fi ;;
        *) bootstrap=docker ;;
    esac
}

# Sets apptainer to the program to build with.
find_apptainer() {
    apptainer=$(command -v apptainer || command -v singularity) || fail \
        "neither apptainer nor singularity is on the PATH: install Apptainer 1.2 or newer, or do without a container: ./setup.sh install"
    # Read in full before it is searched: a closed pipe would end the program with an error.
    local options
    options=$("$apptainer" build --help 2>&1) || fail "$apptainer does not run: $(tail -n 1 <<< "$options")"
    grep -q -- --build-arg <<< "$options" || fail "$("$apptainer" --version) knows no --build-arg: install Apptainer 1.2 or newer"
}

check_namespaces() {
    [ "$(id -u)" -ne 0 ] && command -v unshare > /dev/null || return 0
    unshare --user --map-root-user true 2> /dev/null || fail "this machine gives users no namespaces, without which Apptainer builds\
 for root only: ask for sysctl user.max_user_namespaces > 0 (on Debian, Ubuntu: kernel.unprivileged_userns_clone=1,\
 kernel.apparmor_restrict_unprivileged_userns=0), or build on another machine"
}

free_gb() { df -Pk "$1" | awk 'NR == 2 { print int($4 / 1e6) }'; }

check_room() {
    local temporary=${APPTAINER_TMPDIR:-${TMPDIR:-/tmp}} place
    for place in "$temporary" "$(dirname "$output")" "$KEPT"; do
        [ -d "$place" ] && [ -w "$place" ] || fail "$place: no directory that can be written. Name another one, see ./setup.sh container --help"
    done
    local free
    free=$(free_gb "$temporary")
    [ "$free" -ge "${ROOM[$variant]}" ] || fail "$temporary has $free GB free, building takes ${ROOM[$variant]} GB there:\
 make room, or name another directory in APPTAINER_TMPDIR"
}

# build FILE ARGUMENT...: beside FILE first, so that there is a whole image or none.
build() {
    local file=$1 part
    part=$(dirname "$file")/.$(basename "$file").partial
    shift
    # shellcheck disable=SC2064  # the name of now is meant
    trap "rm -f '$part'" EXIT
    if ! "$apptainer" build --force --mksquashfs-args "-comp zstd -Xcompression-level 3" "$@" "$part" $DEFINITION < /dev/null 2>&1 |
        tee -a "$LOG" | grep --line-buffered -E '^(==>|error:|self-test|INFO: +(Creating SIF|Starting build|Extracting))'; then
        explain
    fi
    mv "$part" "$file"
    trap - EXIT
}

# The reason in one line, as far as the log tells it.
explain() {
    local last
    grep -qiE 'no space left|disk quota exceeded' "$LOG" && fail "no room left on the disk while building (log: $LOG): make room, or name\
 another directory in APPTAINER_TMPDIR" 2
    grep -qiE 'no such host|name resolution|network is unreachable|connection (refused|timed out|reset)|i/o timeout|NewConnectionError|dial tcp' "$LOG" &&
        fail "no network, or a registry that does not answer (log: $LOG). The base image comes from where --base says, packages from PyPI" 2
    grep -qiE 'user namespace|newuidmap|subuid|operation not permitted' "$LOG" &&
        fail "Apptainer may not make the namespaces that it needs (log: $LOG): $(grep -iE 'namespace|newuidmap|subuid|not permitted' "$LOG" | tail -n 1)" 2
    last=$(grep -E '^(error:|ERROR|FATAL)' "$LOG" | tail -n 1)
    fail "the image could not be built: ${last:-see the log} (log: $LOG)" 1
}

megabytes() { echo "$(($(stat -c %s "$1") / 1000000)) MB"; }

main() {
    parse "$@"
    find_base
    find_apptainer
    check_namespaces
    check_room
    LOG=containers/build-$variant.log
    : > "$LOG"
    local key dependencies started=$SECONDS
    key=$(cat pyproject.toml constraints.txt containers/build/install.py - <<< "$variant $identity" | sha256sum | cut -c 1-12)
    dependencies=$KEPT/dependencies-$variant-$key.img
    if [ -f "$dependencies" ]; then
        say "dependencies: $dependencies, built before ($(megabytes "$dependencies"))"
    else
        say "dependencies of the $variant image, on $base (minutes; log: $LOG)"
        build "$dependencies" --notest --build-arg "bootstrap=$bootstrap" --build-arg "base=$base" \
            --build-arg "variant=$variant" --build-arg part=dependencies
        find "$KEPT" -maxdepth 1 -name "dependencies-$variant-*.img" ! -name "$(basename "$dependencies")" -delete
        say "dependencies: $dependencies ($(megabytes "$dependencies"), $((SECONDS - started)) s)"
    fi
    started=$SECONDS
    say "the code, and the self-test of the image"
    build "$output" --build-arg bootstrap=localimage --build-arg "base=$dependencies" --build-arg "variant=$variant"
    say "$output ($(megabytes "$output"), $((SECONDS - started)) s)"
}

main "$@"
