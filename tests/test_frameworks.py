"""Large frameworks are imported in silence, and only those that are used."""

import subprocess
import sys

import pytest

QUIET = """
import sys
from lsd_experiments import frameworks
frameworks.import_gunpowder()
import gunpowder as gp
assert not set(frameworks.UNUSED_BY_GUNPOWDER) & set(sys.modules), "gunpowder brought a framework"
assert gp.PreCache and gp.AddAffinities
frameworks.import_keras()
import keras
import tensorflow as tf
tf.config.list_physical_devices()
assert keras.backend.backend() == "tensorflow" and tf.__version__
assert keras.ops.convert_to_numpy(keras.ops.ones(3)).sum() == 3
"""

LOUD = """
import os, sys
from lsd_experiments import frameworks
try:
    with frameworks.silence():
        os.write(2, b"from below\\n")
        print("from Python", file=sys.stderr)
        if sys.argv[1] == "fail":
            raise ImportError("broken")
except ImportError:
    pass
print("after", file=sys.stderr)
"""


def test_keras_and_gunpowder_say_nothing(monkeypatch):
    for name in ("TF_CPP_MIN_LOG_LEVEL", "KERAS_BACKEND"):
        monkeypatch.delenv(name, raising=False)
    ran = subprocess.run([sys.executable, "-c", QUIET], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@pytest.mark.parametrize(("how", "shown"), [("work", "after\n"), ("fail", "from below\nfrom Python\nafter\n")])
def test_what_was_kept_back_is_shown_when_it_fails(how, shown):
    ran = subprocess.run([sys.executable, "-c", LOUD, how], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (0, shown)
