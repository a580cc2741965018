#!/bin/sh
# What a container runs: the command it is given, or else the self-test, of the image's package (-P) in whatever directory, and
# whatever the host's variables say of Python and of places that are not here.
if [ $# -gt 0 ]; then exec "$@"; fi
[ -d "${TMPDIR:-/tmp}" ] || unset TMPDIR
unset KERAS_BACKEND PYTHONPATH PYTHONHOME
exec python -P -m lsd_experiments.selftest
