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
from lsd_experiments.prediction.settings import PredictionSettings, PredictOptions
from lsd_experiments.settings import Settings, parse_settings

DOCS = Path(__file__).parents[1] / "docs"
MARK = "<!-- the options of a prediction, as lsd_experiments.prediction.settings has them -->\n"


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


def test_the_documentation_has_that_of_prediction():
    """If this fails, put the table that it shows below the mark."""
    (page,) = [path for path in DOCS.rglob("*.md") if MARK in path.read_text()]
    assert page.read_text().partition(MARK)[2].startswith(table(PredictionSettings, PredictOptions) + "\n\n"), "\n" + table(
        PredictionSettings, PredictOptions)
