"""Config files: what fits, and what the error of one that does not says."""

import json
from typing import Annotated

import pydantic
import pytest

from lsd_experiments.errors import UserError, nearest
from lsd_experiments.settings import Settings, load_settings, parse_settings


class Inner(Settings):
    threshold: float = 0.5
    block_size: tuple[float, float, float]


class Outer(Settings):
    name: str
    num_workers: int = 1
    inner: Inner
    also: Inner | None = None


GOOD = {"name": "a", "inner": {"block_size": [1, 2.5, 3]}}


def test_toml_and_json_give_the_same(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(GOOD))
    (tmp_path / "a.toml").write_text('name = "a"\n[inner]\nblock_size = [1, 2.5, 3]\n')
    found = load_settings(tmp_path / "a.toml", Outer)
    assert found == load_settings(tmp_path / "a.json", Outer)
    assert found.inner.block_size == (1, 2.5, 3)
    assert found.num_workers == 1
    with pytest.raises(pydantic.ValidationError):
        found.num_workers = 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**GOOD, "num_worker": 3}, "unknown key 'num_worker'; did you mean 'num_workers'?"),
        ({**GOOD, "zzz": 3}, "unknown key 'zzz'"),
        ({**GOOD, "inner": {"block_size": [1, 2, 3], "treshold": 1}}, "'inner.treshold'; did you mean 'threshold'?"),
        ({**GOOD, "also": {"block_size": [1, 2, 3], "treshold": 1}}, "'also.treshold'; did you mean 'threshold'?"),
        ({"inner": GOOD["inner"]}, "'name' is missing"),
        ({**GOOD, "num_workers": "many"}, "'num_workers': .*found 'many'"),
        ({**GOOD, "inner": {"block_size": [1, 2]}}, "'inner.block_size"),
    ],
)
def test_a_misfit_is_named_with_its_key(values, message):
    parse_settings(GOOD, Outer, "here.toml")
    with pytest.raises(UserError, match=message) as error:
        parse_settings(values, Outer, "here.toml")
    assert str(error.value).startswith("here.toml: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.toml", "name = ", "not valid TOML"),
        ("a.json", '{"name": ', "not valid JSON"),
        ("a.json", "[1, 2]", "holds a list"),
    ],
)
def test_a_file_that_is_no_config(tmp_path, name, text, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        load_settings(tmp_path / name, Outer)


class Several(Settings):
    threshold: Annotated[float, pydantic.Field(le=1)] | tuple[Annotated[float, pydantic.Field(le=1)], ...] = 0.5


@pytest.mark.parametrize(("given", "message"), [
    (1.5, r"^a: 'threshold': Input should be less than or equal to 1, found 1.5$"),
    ([0.5, 1.5], r"^a: 'threshold.1': Input should be less than or equal to 1, found 1.5$"),
    ("high", r"^a: 'threshold': .*found 'high'$"),
])  # fmt: skip
def test_of_a_number_or_several_that_is_named_which_is_wrong(given, message):
    """By its key alone: which types a value may have has no place in it."""
    assert parse_settings({"threshold": [0.5, 1]}, Several, "a").threshold == (0.5, 1)
    with pytest.raises(UserError, match=message):
        parse_settings({"threshold": given}, Several, "a")
    with pytest.raises(UserError, match="unknown key 'constrained-float'"):
        parse_settings({"constrained-float": 1}, Several, "a")


def test_binary_and_missing_files(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not valid TOML"):
        load_settings(tmp_path / "a.toml", Outer)
    with pytest.raises(UserError, match="no such file"):
        load_settings(tmp_path / "b.toml", Outer)
    with pytest.raises(UserError, match="no such file"):
        load_settings(tmp_path, Outer)


def test_nearest():
    assert nearest("thresholds", ["threshold", "name"]) == "; did you mean 'threshold'?"
    assert nearest("qqq", ["threshold", "name"]) == ""


class Graph(Settings):
    db: str | None = None
    size: int = 1

    @pydantic.model_validator(mode="after")
    def _small(self):
        if self.size > 9:
            raise ValueError("too large")
        return self


class Run(Settings):
    graph: Graph = Graph()


@pytest.mark.parametrize("values", [{"db": ["postgresql://u:s3cret@h/db"]}, {"db": {"url": "s3cret"}},
                                    {"db": "postgresql://u:s3cret@h/db", "size": 10}])
@pytest.mark.parametrize("outer", [False, True])
def test_the_value_of_db_is_not_quoted(values, outer):
    with pytest.raises(UserError, match=r"here\.toml: '.*': ") as error:
        parse_settings({"graph": values} if outer else values, Run if outer else Graph, "here.toml")
    assert "s3cret" not in str(error.value) + str(error.value.__cause__)  # which --debug shows
    with pytest.raises(UserError, match=r"'size': .*found 'other'"):
        parse_settings({"size": "other"}, Graph, "here.toml")
