"""What tests/faults has the processes of a run do besides: for their PYTHONPATH, told by the environment.

``FAULTS_DELAY``: seconds, as JSON, by a part of the path, that a file waits before it is renamed to its place, so that there is
something to be killed in. ``FAULTS_DIE``: ``<module>:<function> <n> <file>``; the worker whose factory this is kills itself when
it is through with its n-th block and has not told anyone yet; once, since it leaves ``<file>``.
"""

import json
import os
import signal
import time
from pathlib import Path


def slow_down(delays):
    replace = os.replace

    def wait_and_replace(source, target, **options):
        time.sleep(next((delay for part, delay in delays.items() if part in str(target)), 0))
        replace(source, target, **options)

    os.replace = wait_and_replace


def die_after(factory, number, mark):
    from lsd_experiments.blockwise import worker

    load = worker.load_factory

    def load_mortal(name):
        return mortal(load(name)) if name == factory else load(name)

    def mortal(make):
        def make_mortal(*arguments):
            process, count = make(*arguments), 0

            def process_and_die(block):
                nonlocal count
                process(block)
                count += 1
                if count == number and not mark.exists():
                    mark.write_text(str(block.number))
                    os.kill(os.getpid(), signal.SIGKILL)

            return process_and_die
        return make_mortal

    worker.load_factory = load_mortal


if "FAULTS_DELAY" in os.environ:
    slow_down(json.loads(os.environ["FAULTS_DELAY"]))
if "FAULTS_DIE" in os.environ:
    asked, after, file = os.environ["FAULTS_DIE"].split(" ", 2)
    die_after(asked, int(after), Path(file))
