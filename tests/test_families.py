"""The ground imports no family, and names no head: families import the ground, doors both."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "lsd_experiments"
ALL = {path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
GROUND = {name: tree for name, tree in ALL.items() if not name.startswith("families/")}
FAMILIES = sorted(path.parent.name for path in (PACKAGE / "families").glob("*/__init__.py"))
HEADS = {"affs", "lsds"}
USES = {"cremi": {"pytc"}, "cellmap": {"pytc"}}  # networks of PyTorch, and their training
NAMES_HEADS = {  # why a module of the ground may
    "targets/": "it defines targets",
    "agglomeration/": "affinities are its input, whose key this is",
    "fragments/": "the same",
    "picture/": "its options say which volume is which",
    "demo.py": "it asks picture.py for both",
    "selftest/": "it checks what its network wrote",
}


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported, wherever in the file; of ``from a import b`` both a and a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports would hide from this test"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def family_of(tree: ast.AST) -> set[str]:
    """The families that are imported."""
    return {name.split(".")[2] for name in imports(tree) if name.startswith("lsd_experiments.families.")}


def heads_in(tree: ast.AST) -> set[str]:
    """The heads that are named in strings, alone or as a volume's last part; not those of docstrings and messages."""
    strings = (node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str))
    return {string.rpartition("/")[2] for string in strings if " " not in string} & HEADS


def test_there_are_families_and_a_ground():
    assert {"xpress"} <= set(FAMILIES)
    assert len(GROUND) > 200


def test_what_the_walks_find():
    tree = ast.parse('"""Of affs."""\nfrom lsd_experiments.families import xpress\ndef f(x):\n'
                     '    from lsd_experiments.families.lsd.a import b\n    return x["volumes/affs"], "no affs here"')
    assert (family_of(tree), heads_in(tree)) == ({"xpress", "lsd"}, {"affs"})
    other = ast.parse("import lsd_experiments.families.lsd\nfrom lsd_experiments import cli\nx = 'lsds'")
    assert (family_of(other), heads_in(other)) == ({"lsd"}, {"lsds"})


def test_the_ground_imports_no_family():
    """A family is imported by its own modules, and by scripts."""
    assert {name: found for name, tree in GROUND.items() if (found := family_of(tree))} == {}


def test_the_ground_names_no_head():
    """Targets say their names."""
    naming = {name for name, tree in GROUND.items() if heads_in(tree)}
    assert not {name for name in naming if not name.startswith(tuple(NAMES_HEADS))}
    assert all(any(name.startswith(place) for name in naming) for place in NAMES_HEADS if (PACKAGE / place).exists())


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_imports_no_other(family):
    trees = {path: ast.parse(path.read_text()) for path in (PACKAGE / "families" / family).rglob("*.py")}
    allowed = {family} | USES.get(family, set())
    assert {path: family_of(tree) for path, tree in trees.items() if not family_of(tree) <= allowed} == {}
