# shellcheck shell=sh
# Sourced by a container's shell at its start, whatever shell that is. Apptainer shows it none of the host's variables, and sets them
# afterwards where they are not set here; those of --env, always. It is named twice in an image, once by that of the dependencies.
if [ -z "${lsd_sourced:-}" ]; then
    lsd_sourced=1
    export PATH="/opt/venv/bin:$PATH" PYTHONDONTWRITEBYTECODE=1
    [ -n "${HOME:-}" ] || export HOME=/nonexistent

    # What libraries keep goes to a directory of the user's own in /tmp, not to the home directory. Not to one that somebody else
    # made under this name: what is kept is executed.
    lsd_kept=/tmp/lsd-experiments-$(id -u)
    mkdir -m 700 "$lsd_kept" 2> /dev/null || true
    # shellcheck disable=SC3067  # dash, bash and busybox know -O
    if [ -d "$lsd_kept" ] && [ ! -L "$lsd_kept" ] && [ -O "$lsd_kept" ] && chmod 700 "$lsd_kept" 2> /dev/null; then
        export KERAS_HOME="$lsd_kept/keras" MPLCONFIGDIR="$lsd_kept/matplotlib" CUDA_CACHE_PATH="$lsd_kept/cuda"
        NUMBA_CACHE_DIR=$lsd_kept/numba-$(cat /opt/lsd-experiments/build-number 2> /dev/null)
        export NUMBA_CACHE_DIR
        # Functions that were compiled while the image was built; on another kind of processor they are compiled again. Whole or
        # not at all: other containers may start at this moment, and there may be no room.
        if [ ! -d "$NUMBA_CACHE_DIR" ] && [ -d /opt/lsd-experiments/compiled ]; then
            if lsd_new=$(mktemp -d "$lsd_kept/new.XXXXXX" 2> /dev/null); then
                if ! { cp -r /opt/lsd-experiments/compiled/. "$lsd_new" && mv -T "$lsd_new" "$NUMBA_CACHE_DIR"; } 2> /dev/null; then
                    rm -rf "$lsd_new"
                fi
            fi
        fi
    else
        if [ -e "$lsd_kept" ]; then lsd_why="is not this user's own directory"; else lsd_why="cannot be made"; fi
        echo "warning: $lsd_kept $lsd_why: compiled code is not kept. Name a directory for it by --env NUMBA_CACHE_DIR=DIRECTORY" >&2
        export NUMBA_CACHE_DIR=/nonexistent KERAS_HOME=/nonexistent CUDA_CACHE_DISABLE=1
    fi
fi
