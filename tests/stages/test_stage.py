"""What a stage makes of the states of its outputs; files; what is not called finished."""

import pytest

from lsd_experiments.arrays import open_volume
from lsd_experiments.errors import UserError
from lsd_experiments.provenance import provenance
from lsd_experiments.stages import FilesArtifact, Stage, VolumeArtifact

MADE = provenance("s", {"numbers": [1, 2]}, {})


@pytest.fixture
def files(tmp_path):
    return FilesArtifact(tmp_path / "about.json", lambda made: [tmp_path / f"{n}.txt" for n in made["parameters"]["numbers"]])


def write(artifact, made):
    for path in artifact.files(made):
        path.write_text(path.name)


def test_files_are_done_when_all_are_there_as_they_were_written(files):
    assert files.state(MADE).kind == "new"
    assert files.stored() == {}
    files.prepare(MADE, False)
    assert files.state(MADE).kind == "begun"
    write(files, MADE)
    assert files.state(MADE).kind == "begun"  # nobody said that this is all
    files.finish()
    assert files.state(MADE).kind == "done"
    assert files.stored()["key"] == MADE["key"]
    one, two = files.files(MADE)
    one.write_text("other")
    assert files.state(MADE).reason == f"{one} is not as it was written"
    two.unlink()
    assert files.state(MADE).reason == f"{two} is missing"
    one.unlink()
    assert files.state(MADE).reason == f"{one} is missing, and 1 more"


def test_files_of_a_making_before_go_when_another_begins(files):
    files.prepare(MADE, False)
    write(files, MADE)
    files.finish()
    other = provenance("s", {"numbers": [2, 3]}, {})
    assert files.state(other).reason == "numbers was [1, 2], now it is [2, 3]"
    files.prepare(other, True)
    assert not any(path.exists() for path in files.files(MADE))
    assert files.state(other).kind == "begun"


def test_files_that_nobody_speaks_for_are_refused(files):
    write(files, MADE)
    with pytest.raises(UserError, match=r"1\.txt exists, and no about\.json says what made it"):
        files.state(MADE)
    files.about.write_text('{"stage": "t", "key": "0"}')
    with pytest.raises(UserError, match="was made by t, not by s"):
        files.state(MADE)


@pytest.fixture
def stage(tmp_path):
    """One that makes two volumes."""
    outputs = tuple(VolumeArtifact(str(tmp_path / "out.zarr"), name, (4, 6, 8), (20, 9, 9), (40, -9, 0), "uint8", (2, 3, 8))
                    for name in ("first", "second"))
    return Stage("s", {"a": 1}, {}, outputs, lambda made, anew, show: None)


def end(output, made):
    output.prepare(made)
    output.finish()


def test_the_first_output_says_whether_a_stage_is_new(stage):
    first, second = stage.outputs
    assert stage.state().kind == "new"
    end(second, stage.made)
    assert stage.state().kind == "new"
    end(first, stage.made)
    assert stage.state().kind == "done"
    stage.prepare(False, stage.made)
    assert stage.state().kind == "begun"
    first.finish()
    assert stage.state().kind == "begun"


def test_an_output_that_is_not_there_beside_another_makes_it_anew(stage):
    end(stage.outputs[0], stage.made)
    state = stage.state()
    assert (state.kind, state.reason) == ("stale", f"{stage.outputs[1].name} is not there")


def test_one_that_was_made_otherwise_makes_all_of_it_anew(stage):
    first, second = stage.outputs
    end(first, stage.made)
    end(second, provenance("s", {"a": 2}, {}))
    assert (stage.state().kind, stage.state().reason) == ("stale", "a was 2, now it is 1")
    stage.prepare(True, stage.made)
    assert {open_volume(v.container, v.dataset).attrs["provenance"]["key"] for v in stage.outputs} == {stage.made["key"]}


def test_the_first_output_is_finished_last(stage, monkeypatch):
    ended = []
    monkeypatch.setattr(VolumeArtifact, "finish", lambda output: ended.append(output.dataset))
    stage.finish()
    assert ended == ["second", "first"]
