#!/bin/sh
# What a container runs: the command it is given, or else the self-test.
[ $# -gt 0 ] || set -- python -m lsd_experiments.selftest
exec "$@"
