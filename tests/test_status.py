"""02_train/status.py: its table and its refusals. The whole run takes minutes; tests/test_repository.py reads what it wrote."""

import re
import runpy
from pathlib import Path

import pytest

from tests.scripts import run_script

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "02_train/status.py"


def test_a_row_per_directory_below_its_date_and_machine():
    status = runpy.run_path(str(SCRIPT))
    rows = [["fib25", "lsd", "1.2 M parameters", "36 arrays", "one, 20x20x20", "fails: out of memory"], ["hemi", *"abcde"]]
    told, empty, *lines = status["table"](rows).splitlines()
    assert re.match(r"Run of \d{4}-\d\d-\d\d on \d+ cores of .+, without a GPU", told)
    assert empty == ""
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert cells[0][:2] == ["dataset", "variant"]
    assert cells[1] == ["---"] * len(cells[0])
    assert cells[2:] == rows
    assert {len(row) for row in cells} == {2 + len(("builds", "loads", "trains", "predicts"))}


def test_all_directories_are_found_and_a_first_network_comes_first():
    status = runpy.run_path(str(SCRIPT))
    assert set(status["found"]()) == {path.parent.relative_to(ROOT / "02_train").as_posix()
                                      for path in (ROOT / "02_train").glob("*/*/mknet.py")}  # fmt: skip
    assert status["in_order"](["fib25/mtlsd", "fib25/acrlsd", "fib25/lsd"]) == ["fib25/mtlsd", "fib25/lsd", "fib25/acrlsd"]
    assert status["in_order"](["hemi/aclsd"]) == ["hemi/lsd", "hemi/aclsd"]


@pytest.mark.parametrize(("arguments", "message"), [
    (("--print", "--only", "nonsense"), "error: --only nonsense: no such experiment\n"),
    (("--print", "--only", "fib25/lsd", "fib25/mtlds"), "--only fib25/mtlds: no such experiment; did you mean 'fib25/mtlsd'?\n"),
    (("--only", "fib25/lsd"), "error: --only: docs/status.md has all experiments. Pass --print, too\n"),
])  # fmt: skip
def test_it_refuses(arguments, message):
    before = (ROOT / "docs/status.md").read_bytes()
    ended = run_script(SCRIPT, *arguments)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr.endswith(message)
    assert ended.stderr.count("\n") == 1
    assert (ROOT / "docs/status.md").read_bytes() == before
