#!/bin/sh
# What a container runs: the command it is given, or else the self-test, of the image's package (-P) in whatever directory.
[ $# -gt 0 ] || set -- python -P -m lsd_experiments.selftest
exec "$@"
