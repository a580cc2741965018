"""The self-test of an installation: what it is, whether it can use a GPU, and whether it trains, predicts and segments.

    python -m lsd_experiments.selftest
    python -m lsd_experiments.selftest --versions

It runs the commands that users type, on a volume so small that all of it takes less than a minute on two cores, and looks
at what they wrote. A container image runs it when it is started without a command, and at the end of its build.
"""
