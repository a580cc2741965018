#!/usr/bin/env bash
# ./setup.sh container: builds lsd.img from this checkout, in two steps: an image of the dependencies, which is kept for the next
# build, and from it the one with the code.
set -euo pipefail
umask 022
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

DEFINITION=containers/lsd.def
KEPT=${LSD_DEPENDENCY_IMAGES:-containers}  # where images of dependencies are kept
declare -A ROOM=([cpu]=8 [gpu]=30)  # GB that building takes at most, in the directory for temporary files

help() {
    cat <<'HELP'
usage: ./setup.sh container [--cpu] [--base IMAGE] [--output FILE]

  --cpu          TensorFlow without CUDA: a smaller image, for machines without a GPU
  --base IMAGE   what to build on: a file or directory (seen from the checkout), or a name in a registry, like docker.io/library/python:3.12-slim
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
                [ $# -gt 1 ] && [[ $2 == [!-]* ]] || fail "$1 needs a value: ./setup.sh container --help"
                printf -v "${1#--}" %s "$2"
                shift ;;
            *) fail "container does not know '$1': ./setup.sh container --help" ;;
        esac
        shift
    done
}

# Sets bootstrap, base and name, which stands for the base's content: dependencies are installed again when it changes.
find_base() {
    base=${base#localimage://}
    name=$base
    if [ -e "$base" ]; then
        bootstrap=localimage
        if [ -f "$base" ]; then name="$(basename "$base") sha256:$(sha256sum < "$base" | cut -c 1-12)"
        else name="$(basename "$base") $(find "$base" -printf '%P %s %T@\n' | LC_ALL=C sort | sha256sum | cut -c 1-12)"; fi
        return
    fi
    case $base in
        docker://*) bootstrap=docker base=${base#docker://} ;;
        *://*) bootstrap=${base%%://*} base=${base#*://} ;;
        /* | ./* | ../* | *.img | *.sif | *.tar) fail "--base $base: not there. Name an image file, a directory, or docker://NAME" ;;
        *) bootstrap=docker ;;
    esac
}

# Sets apptainer to the program to build with.
find_apptainer() {
    apptainer=$(command -v apptainer || command -v singularity) || fail \
        "neither apptainer nor singularity is on the PATH: install Apptainer 1.4 or newer, or do without a container: ./setup.sh install"
    # Read in full before it is searched: a closed pipe would end the program with an error.
    local options option
    options=$("$apptainer" build --help 2>&1) || fail "$apptainer does not run: $(tail -n 1 <<< "$options")"
    for option in --build-arg --mksquashfs-args; do
        grep -q -e "$option" <<< "$options" || fail "$("$apptainer" --version) knows no $option: install Apptainer 1.4 or newer"
    done
}

free_gb() { df -Pk "$1" | awk 'NR == 2 { print int($4 / 1e6) }'; }

check_room() {
    local temporary=${APPTAINER_TMPDIR:-${TMPDIR:-/tmp}} place
    [ ! -d "$output" ] || fail "--output $output: a directory. Name the image file"
    for place in "$temporary" "$(dirname "$output")" "$KEPT" containers; do
        [ -d "$place" ] && [ -w "$place" ] || fail "$place: no directory that can be written. Name another one, see ./setup.sh container --help"
    done
    local free
    free=$(free_gb "$temporary")
    [ "$free" -ge "${ROOM[$variant]}" ] || fail "$temporary has $free GB free, building takes ${ROOM[$variant]} GB there:\
 make room, or name another directory in APPTAINER_TMPDIR"
}

child="" part=""
# stop STATUS: ends the build and what it started; the file that it was writing is removed by the last trap.
stop() {
    trap '' INT TERM HUP
    if [ -n "$child" ]; then
        kill -- "-$child" 2> /dev/null || true
        wait "$child" 2> /dev/null || true
    fi
    echo interrupted >&2
    exit "$1"
}
trap 'stop 130' INT
trap 'stop 143' TERM HUP
trap '[ -z "$part" ] || rm -f "$part"' EXIT

# build FILE ARGUMENT...: beside FILE first, so that there is a whole image or none.
build() {
    local file=$1 status=0
    part=$(dirname "$file")/.$(basename "$file").partial
    shift
    set -m  # a process group of its own, to end all of it
    "$apptainer" build --force --mksquashfs-args "-comp zstd -Xcompression-level 3" "$@" "$part" $DEFINITION < /dev/null \
        > >(tee -a "$LOG" | grep --line-buffered -E '^(==>|self-test|INFO: +(Creating SIF|Starting build|Extracting))') 2>&1 &
    child=$!
    set +m
    wait "$child" || status=$?
    child=""
    sleep 0.2  # the last lines are on their way to the log
    [ $status -eq 0 ] || explain
    mv "$part" "$file"
    part=""
}

# The reason in one line, as far as the log tells it: our own words, then those of Apptainer and pip.
explain() {
    local own words last
    own=$(grep '^error:' "$LOG" | tail -n 1) || true
    case $own in
        "" | *"pip could not"*) ;;
        *) fail "the image could not be built: ${own#error: } (log: $LOG)" 1 ;;
    esac
    words=$(grep -E '^(FATAL|ERROR|Error)' "$LOG") || true
    [ -z "$own" ] || words+=$(grep -E '^ *(WARNING: Retrying|OSError)' "$LOG") || true
    says() { grep -qiE "$1" <<< "$words"; }
    if says 'no space left|disk quota exceeded'; then
        fail "no room left on the disk while building (log: $LOG): make room, or name another directory in APPTAINER_TMPDIR"
    elif says 'no such host|name resolution|network is unreachable|connection (refused|timed out|reset)|i/o timeout|NewConnectionError|dial tcp'; then
        fail "no network, or a registry that does not answer (log: $LOG). The base image comes from where --base says, packages from PyPI"
    elif says 'user namespace|newuidmap|subuid|operation not permitted|fakeroot'; then
        fail "Apptainer gets no user namespace, without which it builds for root only (log: $LOG): ask for user.max_user_namespaces > 0 (on Debian\
 kernel.unprivileged_userns_clone=1, on Ubuntu Apptainer's AppArmor profile) and a line for you in /etc/subuid, or build elsewhere"
    fi
    last=$(tail -n 1 <<< "${own:-$words}")
    fail "the image could not be built: ${last:-its last words are in the log} (log: $LOG)" 1
}

megabytes() { echo "$(($(stat -c %s "$1") / 1000000)) MB"; }

main() {
    parse "$@"
    find_base
    find_apptainer
    check_room
    LOG=containers/build-$variant.log
    : > "$LOG"
    local key dependencies started=$SECONDS
    key=$(cat pyproject.toml constraints.txt containers/build/install.py - <<< "$variant $name" | sha256sum | cut -c 1-12)
    dependencies=$KEPT/dependencies-$variant-$key.img
    if [ -f "$dependencies" ]; then
        say "dependencies: $dependencies, built before ($(megabytes "$dependencies"))"
    else
        say "dependencies of the $variant image, on $base (minutes; log: $LOG)"
        build "$dependencies" --notest --build-arg "bootstrap=$bootstrap" --build-arg "base=$base" \
            --build-arg "name=$name" --build-arg "variant=$variant" --build-arg part=dependencies
        # Of the checkout's own; a directory that is named may be others', too.
        [ "$KEPT" != containers ] || find "$KEPT" -maxdepth 1 -name "dependencies-$variant-*.img" ! -name "$(basename "$dependencies")" -delete
        say "dependencies: $dependencies ($(megabytes "$dependencies"), $((SECONDS - started)) s)"
    fi
    started=$SECONDS
    say "the code, and the self-test of the image"
    build "$output" --build-arg bootstrap=localimage --build-arg "base=$dependencies" --build-arg "variant=$variant"
    say "$output ($(megabytes "$output"), $((SECONDS - started)) s)"
}

main "$@"
