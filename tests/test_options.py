"""One declaration: arguments, configurations, what workers get, and the documentation's table."""

import argparse
import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest

from lsd_experiments.errors import UserError
from lsd_experiments.options import (
    FORBID,
    REQUIRED,
    NotNegative,
    Parsed,
    Positive,
    PositiveShape,
    Size,
    add_options,
    from_json,
    given,
    option,
    renamed,
    table,
)
from lsd_experiments.pipeline.settings import PipelineSettings
from lsd_experiments.prediction.command import _parser, _settings
from lsd_experiments.prediction.settings import PredictionSettings, PredictOptions
from lsd_experiments.settings import Settings, parse_settings
from lsd_experiments.training.options import TrainingOptions

DOCS = Path(__file__).parents[1] / "docs"
TABLES = {
    "<!-- the options of a prediction, as lsd_experiments.prediction.settings has them -->\n":
        table(PredictionSettings, PredictOptions),
    "<!-- the options of train.py, as lsd_experiments.training.options has them -->\n":
        table(TrainingOptions, said={"malis_from": "the experiment's"}),
}


def reversed_words(words):
    if "wrong" in words:
        raise UserError("it is wrong")
    return " ".join(reversed(words))


@dataclass(frozen=True, kw_only=True)
class How:
    __pydantic_config__: ClassVar[Any] = FORBID

    fast: bool = option(False, "quickly")
    mode: Literal["a", "b"] = option("a", "default: a")
    begin: Size | None = option(None, "nm, 100%% of it")
    shape: PositiveShape | None = option(None, "voxels", group="sizes")
    number: Positive | None = option(None, "which", "--count", "--number", names=("count",), metavar="N")
    words: Annotated[str, Parsed(reversed_words)] | None = option(None, "backwards", metavar="WORD")


@dataclass(frozen=True)
class What(How):
    place: str
    file: str | None = option(REQUIRED, "what to read", metavar="FILE")


class Config(Settings):
    how: How = How()


def parsed(*words):
    parser = argparse.ArgumentParser()
    add_options(parser, What)
    return given(parser.parse_args(words), What)


def test_the_command_line():
    assert What("here", **parsed()) == What("here", None)
    values = parsed("--file", "f", "--fast", "--mode", "b", "--begin", "0", "-1", "2.5", "--shape", "1", "2", "3", "--count", "4",
                    "--words", "x", "y")
    assert values == {"file": "f", "fast": True, "mode": "b", "begin": (0, -1, 2.5), "shape": (1, 2, 3), "number": 4,
                      "words": "y x"}
    assert parsed("--number", "4") == parsed("--count", "4")
    assert "place" not in values
    for wrong in (("--mode", "c"), ("--shape", "0", "1", "1"), ("--count", "0"), ("--begin", "1", "2")):
        with pytest.raises(SystemExit):
            parsed(*wrong)
    with pytest.raises(UserError, match="it is wrong"):
        parsed("--words", "wrong")


@dataclass(frozen=True)
class More:
    count: NotNegative = option(REQUIRED, "how many", "count", metavar="N")
    files: tuple[str, ...] = option((), "all that %%", metavar="FILE")
    sure: bool | None = option(None, "really")
    rate: float = option(5e-5, "(default: %(default)g)")
    other: Positive | None = option(None, "(default: %(default)s)")


def test_positional_arguments_lists_switches_and_defaults_of_others():
    parser = argparse.ArgumentParser()
    add_options(parser, More, without=["sure"], said={"other": 7})
    assert "[--files FILE [FILE ...]] [--rate RATE] [--other OTHER] N" in " ".join(parser.format_usage().split())
    assert all(said in parser.format_help() for said in ("all that %\n", "(default: 5e-05)", "(default: 7)"))
    values = {"count": 0, "files": ("a", "b"), "rate": 0.5, "other": None}
    assert given(parser.parse_args(["0", "--rate", "0.5", "--files", "a", "b"]), More) == values
    assert More(**values).sure is None
    with pytest.raises(SystemExit):
        parser.parse_args(["-1"])
    parser = argparse.ArgumentParser()
    add_options(parser, More)
    asked = {word: given(parser.parse_args(["3", *word.split()]), More)["sure"] for word in ("--sure", "--no-sure", "")}
    assert asked == {"--sure": True, "--no-sure": False, "": None}
    assert table(More).splitlines()[2::4] == ["| `N` | how many |", "| `--other` | (default: None) |"]
    assert "| `--files` |  | all that % |" in table(More, How)  # a column of keys, where configurations have some


def test_a_section_of_a_configuration():
    def read(**how):
        return parse_settings({"how": renamed(how, How)}, Config, "here.toml").how

    given_all = {"fast": True, "mode": "b", "begin": [0, -1, 2.5], "shape": [1, 2, 3], "count": 4, "words": ["x", "y"]}
    assert read(**given_all) == How(fast=True, mode="b", begin=(0, -1, 2.5), shape=(1, 2, 3), number=4, words="y x")
    assert read() == How()
    for wrong, message in (({"fats": True}, "unknown key 'how.fats'; did you mean 'fast'"), ({"shape": [0, 1, 1]}, "how.shape.0"),
                           ({"mode": "c"}, "'how.mode'"), ({"words": ["wrong"]}, "'how.words': it is wrong"),
                           ({"begin": [0, 1, float("nan")]}, r"how.begin.2"), ({"begin": [0, 1, float("inf")]}, r"how.begin.2")):
        with pytest.raises(UserError, match=message) as error:
            read(**wrong)
        assert str(error.value).startswith("here.toml: ")
    with pytest.raises(ValueError, match="'number' and 'count' are the same"):
        renamed({"count": 1, "number": 1}, How)


def test_what_workers_get():
    settings = What("here", "f", shape=(1, 2, 3), begin=(0, 1, 2.5), words="a")
    assert from_json(json.loads(json.dumps(dataclasses.asdict(settings))), What) == settings


def test_the_table():
    assert table(What, How).splitlines()[2:6] == [
        "| `--file` |  | what to read |", "| `--fast` | `fast` | quickly |", "| `--mode` | `mode` | default: a |",
        "| `--begin` | `begin` | nm, 100% of it |"]
    assert "| `--count`, `--number` | `number`, `count` | which |" in table(What, How)


@pytest.mark.parametrize("mark", TABLES)
def test_the_documentation_has_those_of_commands(mark):
    """If this fails, put the table that it shows below the mark."""
    (page,) = [path for path in DOCS.rglob("*.md") if mark in path.read_text()]
    assert page.read_text().partition(mark)[2].startswith(TABLES[mark] + "\n\n"), "\n" + TABLES[mark]


@pytest.mark.parametrize(("words", "key", "value"), [
    (["--checkpoint", "3"], "iteration", 3), (["--iteration", "3"], "iteration", 3),
    (["--lsds-checkpoint", "4"], "lsds_iteration", 4), (["--lsds-iteration", "4"], "lsds_iteration", 4),
    (["--output", "a.zarr"], "out_file", "a.zarr"), ([], "out_file", "test_prediction.zarr"),
    (["--flips", "xz"], "flips", "zx"), (["--flips", "x", "z"], "flips", "zx"), (["--transposes", "xy"], "transposes", "yx"),
    (["--raw-range", "0.1%", "99%"], "raw_range", ("0.1%", "99%")), (["--raw-range", "type"], "raw_range", "type"),
])
def test_arguments_of_a_prediction(words, key, value):
    settings = _settings(_parser("what it does").parse_args(words), Path("here"), shrink=False)
    assert getattr(settings, key) == value
    assert PredictionSettings.from_json(json.loads(json.dumps(dataclasses.asdict(settings)))) == settings
    assert [name for name, other in dataclasses.asdict(_settings(_parser("").parse_args([]), Path("here"), False)).items()
            if dataclasses.asdict(settings)[name] != other] in ([key], [])


@pytest.mark.parametrize(("words", "message"), [
    (["--flips", "xx"], "xx: are no axes"), (["--flips", "q"], "q: are no axes"), (["--transposes", "y"], "y: one axis cannot")])
def test_axes_that_are_none(words, message):
    with pytest.raises(UserError, match=message):
        _settings(_parser("").parse_args(words), Path("here"), shrink=False)


def test_configurations_take_the_spellings_of_the_command_line():
    def read(more, **predict):
        return parse_settings({"out_file": "o.zarr", "fragments": {"fragments_in_xy": True}, "predict": predict, **more},
                              PipelineSettings, "here.toml")

    old, new = read({"iteration": 3}, lsds_iteration=4), read({"checkpoint": 3}, lsds_checkpoint=4, flips="xy")
    assert (old.iteration, old.predict.lsds_iteration) == (new.iteration, new.predict.lsds_iteration) == (3, 4)
    assert new.predict.flips == "yx"
    with pytest.raises(UserError, match=r"'iteration' and 'checkpoint' are the same. Leave one out"):
        read({"iteration": 3, "checkpoint": 3})
    with pytest.raises(UserError, match=r"'predict.flips': q: are no axes"):
        read({}, flips="q")
