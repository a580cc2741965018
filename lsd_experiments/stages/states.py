"""What there is of an output, told from the provenance that it carries and the one that it should have.

Records of finished blocks belong to one making of an output: if another takes its place, a backup or another database, they do
not count.
"""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lsd_experiments.blockwise.engine import clear_records
from lsd_experiments.errors import UserError
from lsd_experiments.provenance import identity
from lsd_experiments.writing import put_text

REMEDY = "Choose another output, or pass --overwrite to make it anew"
FOREIGN = "Choose another output, or remove it yourself"


@dataclass(frozen=True)
class State:
    """What there is of a stage's output.

    :param kind: ``new``: nothing; ``begun``: some blocks; ``done``; ``stale``: it was made otherwise, or is incomplete
        in a way that no block can mend
    :param reason: why it is not done, in words; of what is done, what is not as it was then
    :param again: whether its new making must be told from the one before, though its key is the same
    """

    kind: Literal["new", "begun", "done", "stale"]
    reason: str = ""
    again: bool = False


def state_of(name: str, stored: Any, finished: bool, provenance: Mapping[str, Any]) -> State:
    """What there is of an output that says ``stored`` of itself, and should be of ``provenance``.

    :raises UserError: if it does not say what made it, or another stage did: it is not ours to make anew
    """
    if not isinstance(stored, Mapping):
        raise UserError(f"{name} exists, and does not say what made it. {FOREIGN}")
    if stored.get("stage") != provenance["stage"]:
        raise UserError(f"{name} exists and was made by {stored.get('stage')}, not by {provenance['stage']}. {FOREIGN}")
    if stored.get("key") != provenance["key"]:
        return State("stale", difference(stored, provenance) or "it does not say which version made it")
    old = stored.get("inputs") or {}
    changed = next(filter(None, (changed_input(key, old.get(key), new) for key, new in provenance["inputs"].items())), None)
    if changed:
        return State("stale", changed, again=True)
    return State("done") if finished else State("begun")


def difference(stored: Mapping[str, Any], provenance: Mapping[str, Any]) -> str | None:
    """The first thing in which two provenances differ, in words; None if nothing that counts does."""
    old, new = ({**_flat(made), "version": made.get("version")} for made in (stored, provenance))
    key = _first_difference(old, new)
    return f"{key} was {_show(old, key)}, now it is {_show(new, key)}" if key else None


def check_unchanged(name: str, stored: Any, provenance: Mapping[str, Any]) -> None:
    """:raises UserError: if ``stored`` has other parameters or inputs than ``provenance``; the first one is named."""
    if not isinstance(stored, Mapping):
        raise UserError(f"{name} exists, and does not say what made it. {REMEDY}")
    old, new = _flat(stored), _flat(provenance)
    key = _first_difference(old, new)
    if key:
        raise UserError(f"{name} exists and was made with {key} = {_show(old, key)}, now it is {_show(new, key)}. {REMEDY}")


def changed_input(name: str, old: Any, new: Any, meanwhile: bool = False) -> str | None:
    """What of an input of the same fingerprint changed since ``old`` described it, in words; None if nothing is known.

    Files that are all newer are a copy, unless that is ``meanwhile``: while a stage read them.
    """
    if not (isinstance(old, Mapping) and isinstance(new, Mapping)):
        return None
    if "content" in old and "content" in new and old["content"] != new["content"]:
        return f"{name}, {new['name']}, was {old['content']}, now it is {new['content']}"
    before, after = old.get("files"), new.get("files")
    if not before or not after or before == after:
        return None
    copied = after["oldest"] > before["newest"] and not meanwhile
    if copied and (before["files"], before["bytes"]) == (after["files"], after["bytes"]):
        return None
    return (f"{name}, {new['name']}: its files changed ({before['files']} of {before['bytes']} bytes, now {after['files']} of "
            f"{after['bytes']} bytes)")


def check_inputs(stage: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """:raises UserError: if an input of ``stage`` is another after its last block than ``before`` its first"""
    old, new = before["inputs"], after["inputs"]
    for name in sorted(old.keys() | new.keys()):
        if identity(old.get(name)) != identity(new.get(name)):
            changed: str | None = f"{name} was {_show(old, name)}, now it is {_show(new, name)}"
        else:
            changed = changed_input(name, old.get(name), new.get(name), meanwhile=True)
        if changed:
            raise UserError(f"{stage}: its input changed meanwhile: {changed}. What was made of it is not called finished. Run "
                            "this again to make it anew")


def made_again(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """``provenance`` of an output that is made once more though nothing changed, since the user says so.

    It has another fingerprint than the one before, so that what depends on it is made anew, too.
    """
    return {**provenance, "again": uuid.uuid4().hex[:8]}


def continued(provenance: Mapping[str, Any], stored: Mapping[str, Any]) -> dict[str, Any]:
    """``provenance``, with what the output that is there says besides of its making, if it is the same."""
    same = stored.get("key") == provenance["key"] and "again" in stored
    return {**provenance, "again": stored["again"]} if same else dict(provenance)


def tie_records(records: Path, making: str) -> None:
    """Forget which blocks are done if that was said of another making of the output than ``making``."""
    note = records / "making.txt"
    if not (note.is_file() and note.read_text() == making):
        clear_records(records)
        records.mkdir(parents=True)
        put_text(note, making)


def container_id(container: str, create: bool = False) -> str | None:
    """What tells this container from others of its name, wherever it is moved to; None if nothing does yet."""
    path = Path(container) / ".container_id"  # not with the records, which may be removed
    if create and not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        put_text(path, uuid.uuid4().hex)
    return path.read_text() if path.is_file() else None


def _first_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> str | None:
    keys = sorted(old.keys() | new.keys(), key=lambda key: (key not in ("stage", "version"), key))
    return next((key for key in keys if identity(old.get(key)) != identity(new.get(key))), None)


def _flat(provenance: Mapping[str, Any]) -> dict[str, Any]:
    """What must not change, with one key per value, as JSON has it."""
    values = json.loads(json.dumps({key: provenance.get(key) for key in ("stage", "parameters", "inputs")}))
    return {"stage": values["stage"], **(values["parameters"] or {}), **(values["inputs"] or {})}


def _show(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return "not given"
    value = values[key]
    return f"{value['name']} ({value['fingerprint']})" if identity(value) is not value else json.dumps(value)
