# shellcheck shell=sh
# Sourced by a container's shell at its start, whatever shell that is.
# Nothing is written to the home directory: what libraries keep goes to a directory of the user's own below $TMPDIR or /tmp, or to
# LSD_CACHE_DIR, which lasts.
export PATH="/opt/venv/bin:$PATH" PYTHONDONTWRITEBYTECODE=1
[ -w "${TMPDIR:-/tmp}" ] || unset TMPDIR
lsd_cache=${LSD_CACHE_DIR:-${TMPDIR:-/tmp}/lsd-experiments-$(id -u)}
mkdir -m 700 "$lsd_cache" 2> /dev/null || true
# A directory that another user made under this name is not used: what is kept there is executed.
# shellcheck disable=SC3067  # dash, bash and busybox know -O
if [ -d "$lsd_cache" ] && [ ! -L "$lsd_cache" ] && [ -O "$lsd_cache" ] && [ -w "$lsd_cache" ]; then
    export NUMBA_CACHE_DIR="$lsd_cache/numba" KERAS_HOME="$lsd_cache/keras" MPLCONFIGDIR="$lsd_cache/matplotlib" \
        CUDA_CACHE_PATH="$lsd_cache/cuda"
else
    echo "warning: $lsd_cache is no directory of this user's: compiled code is not kept. Name another one in LSD_CACHE_DIR" >&2
    export NUMBA_CACHE_DIR=/nonexistent KERAS_HOME=/nonexistent CUDA_CACHE_DISABLE=1
fi
unset lsd_cache
