"""Freed memory that stays with the process: fewer page faults where it is asked for, and nothing where it is not ours."""

import json
import platform
import sys

import pytest

from lsd_experiments.pages import keep_freed_pages
from tests.scripts import environment, run_script

# Page faults of arrays that are taken and freed again, of 40 MB: more than the C library ever keeps by itself.
CODE = """
import json, resource, sys
import numpy as np
from lsd_experiments.pages import keep_freed_pages

kept = keep_freed_pages() if sys.argv[1] == "kept" else None
def faults(times):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        np.ones(5_000_000)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults(1)
print(json.dumps([kept, faults(5)]))
"""
glibc_only = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of the GNU C library")


def run(how, **variables):
    ended = run_script("-c", CODE, how, env=environment(**variables), fresh=True)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@glibc_only
def test_pages_are_kept_where_it_is_asked_for():
    plain, kept = run("plain"), run("kept")
    assert plain[0] is None
    assert plain[1] > 50  # or 50 000: huge pages make them few
    assert kept[0] is True
    assert kept[1] < plain[1] / 10


@glibc_only
@pytest.mark.parametrize("variables", [{"MALLOC_ARENA_MAX": "2"}, {"GLIBC_TUNABLES": "glibc.malloc.arena_max=2"}])
def test_what_the_environment_says_is_left(variables):
    assert run("kept", **variables)[0] is False


def test_other_systems_are_left(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed_pages() is False
