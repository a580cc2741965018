"""What INFO says goes to a file, and not to the terminal unless --debug asks for it."""

import logging
import subprocess
import sys

import pytest

from lsd_experiments.logs import log_to_file

SCRIPT = """
import logging, sys
from pathlib import Path
from lsd_experiments.logs import log_to_file, log_to_terminal
from tqdm.contrib.logging import logging_redirect_tqdm

log_to_terminal(debug="--debug" in sys.argv)
with log_to_file(Path(sys.argv[1])), logging_redirect_tqdm():
    logging.getLogger("lsd_experiments.stage").info("begins")
    logging.getLogger("lsd_experiments.stage").debug("detail")
    logging.getLogger("lsd_experiments.stage").warning("odd")
    logging.getLogger("other").info("chatter")
logging.getLogger("lsd_experiments.stage").info("after")
"""


@pytest.mark.parametrize("debug", [False, True])
def test_the_file_has_what_the_terminal_has_not(tmp_path, debug):
    said = subprocess.run([sys.executable, "-c", SCRIPT, tmp_path / "run.log", *(["--debug"] if debug else [])],
                          capture_output=True, text=True, check=True).stderr
    lines = [line.split(" ", 2)[2] for line in (tmp_path / "run.log").read_text().splitlines()]
    assert lines == ["INFO:lsd_experiments.stage:begins", *(["DEBUG:lsd_experiments.stage:detail"] if debug else []),
                     "WARNING:lsd_experiments.stage:odd"]
    shown = [line.rpartition(":")[2] for line in said.splitlines()]
    assert shown == (["begins", "detail", "odd", "after"] if debug else ["odd"])


def test_a_full_disk_is_no_matter_of_the_log(tmp_path, capsys):
    with log_to_file(tmp_path / "gone" / "run.log"):
        logging.getLogger("lsd_experiments.stage").info("begins")
    assert capsys.readouterr().err == ""
