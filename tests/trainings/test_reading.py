"""Queues as TOML: what jobs they give, in which order, and what is said of mistakes."""

from pathlib import Path

import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.installation import ROOT
from lsd_experiments.trainings.reading import read_queue

QUEUE = """
nice = 3
[values]
data = "$out/$place"
place = "level$level"
options = ["--data", "$data/train.zarr", "--seed", "$seed"]
more = []
malis = ["--malis-from", "$from"]
from = 5
text = "volume = $data/$volume"

[templates.train]
name = "$variant/$seed/$iterations"
directory = "$variant"
each = {seed = [0, 1], variant = ["baseline", "mtlsd"], iterations = [20]}
values = {level = 2, kept = "k"}
files = [{name = "$volume.toml", text = "$text", values = {volume = "a"}},
         {name = "b.toml", text = "$text", values = {volume = "b"}}]
steps = [["train.py", "$iterations", "$options", "$more"], ["$root/x.py", "cost: 5 $$"], ["x.py", "$kept"]]

[[job]]
name = "data"
steps = [["make.py"]]

[[job]]
template = "train"
needs = ["data"]

[[job]]
template = "train"
each = {seed = [7], variant = ["lsd"], iterations = [20, 30]}
values = {level = 3, more = ["$malis"]}
"""


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


def read(tmp_path, text):
    (tmp_path / "queue.toml").write_text(text)
    return read_queue(tmp_path / "queue.toml", tmp_path / "out")


def test_there_is_a_job_for_each_combination_and_names_are_replaced(tmp_path, out):
    queue, jobs = read(tmp_path, QUEUE)
    assert (queue.nice, queue.parallel) == (3, 1)
    assert [job.name for job in jobs] == ["data", "baseline/0/20", "mtlsd/0/20", "baseline/1/20", "mtlsd/1/20",
                                          "lsd/7/20", "lsd/7/30"]
    first, last = jobs[1], jobs[-1]
    assert (first.needs, last.needs) == (("data",), ())
    assert first.directory == str(out / "baseline")
    assert first.steps[0] == ("train.py", "20", "--data", f"{out}/level2/train.zarr", "--seed", "0")
    assert first.steps[1] == (f"{ROOT}/x.py", "cost: 5 $")
    assert last.steps[2] == ("x.py", "k"), "a value of the template, beside others of the job"
    assert last.steps[0] == ("train.py", "30", "--data", f"{out}/level3/train.zarr", "--seed", "7", "--malis-from", "5")
    assert first.files == {"a.toml": f"volume = {out}/level2/a", "b.toml": f"volume = {out}/level2/b"}
    assert [job.iterations for job in jobs] == [None, 20, 20, 20, 20, 20, 30]


def test_a_job_is_the_same_wherever_its_outputs_are_and_another_with_another_command(tmp_path):
    here = [job.digest for job in read(tmp_path, QUEUE)[1]]
    (tmp_path / "elsewhere").mkdir()
    assert [job.digest for job in read(tmp_path / "elsewhere", QUEUE)[1]] == here
    other = [job.digest for job in read(tmp_path, QUEUE.replace("[20, 30]", "[20, 40]"))[1]]
    assert other[:-1] == here[:-1]
    assert other[-1] != here[-1]


def test_outputs_beside_the_repository_whose_name_goes_on_are_no_other_job(monkeypatch, tmp_path):
    found = []
    for place in (tmp_path / "ä", tmp_path / "b"):
        place.mkdir()
        monkeypatch.setattr("lsd_experiments.trainings.reading.ROOT", place / "out_code")
        found.append([job.digest for job in read(place, QUEUE)[1]])
    assert found[0] == found[1]


@pytest.mark.parametrize(("old", "new", "message"), [
    ('directory = "$variant"', 'directory = "$volume"', r"job 2: \$volume stands for nothing"),  # but in its file
    ('name = "$volume.toml"', 'name = "$levle"', r"job 2: \$levle stands for nothing.*'level'"),
    ('place = "level$level"', 'place = "$data"', r"\$data stands for itself, by \$data and \$place"),
    ('malis = ["--malis-from", "$from"]', 'malis = ["$more"]', r"\$more stands for itself, by \$more and \$malis"),
    ('"cost: 5 $$"', '"cost: $options"', r"job 2: \$options is a list, which can only be an argument of its own"),
    ('"cost: 5 $$"', '"cost: 5 $"', "has a \\$ that no name follows. Write"),
    ('needs = ["data"]', 'needs = ["date"]', "'baseline/0/20' needs 'date', which no job before it is called.*'data'"),
    ("[20, 30]", "[20, 20]", "two jobs are called 'lsd/7/20'"),
    ('name = "data"', 'nam = "data"', "job 1: unknown key 'nam'"),
    ('template = "train"\nneeds', 'template = "trian"\nneeds',
     r"job 2 has the template 'trian', which \[templates\] lacks.*'train'"),
    ('template = "train"\nneeds', 'template = ["train"]\nneeds',
     r"job 2 has the template \['train'\], which \[templates\] lacks"),
    ("nice = 3", "nice = 30", "'nice'"),
    ('steps = [["make.py"]]', "steps = []", "job 1: 'steps'"),
    ('steps = [["make.py"]]', "steps = [[]]", "job 1: 'steps.0'"),
])  # fmt: skip
def test_mistakes(tmp_path, old, new, message):
    assert old in QUEUE
    with pytest.raises(UserError, match=message):
        read(tmp_path, QUEUE.replace(old, new, 1))


def test_the_queues_of_the_repository_can_be_read(tmp_path):
    """And every job of theirs is of an experiment that there is."""
    found = {path.stem: read_queue(path, tmp_path)[1] for path in sorted((ROOT / "02_train/queues").glob("*.toml"))}
    assert "neuropil" in found
    for jobs in found.values():
        for job in jobs:
            assert job.setup is None or (Path(ROOT) / "02_train" / job.setup["like"] / "train.py").is_file()
    variants = {job.setup["like"] for job in found["neuropil"] if job.setup}
    names = ("baseline", "long_range", "malis", "lsd", "mtlsd", "mtlsd_malis", "aclsd", "acrlsd")
    assert variants == {f"zebrafinch/{name}" for name in names}
