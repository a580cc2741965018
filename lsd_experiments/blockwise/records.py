"""What a run leaves in its records, and how that is kept sound and small."""

import json
import logging
import secrets
import shutil
from pathlib import Path

from lsd_experiments.errors import UserError

logger = logging.getLogger(__name__)

MOST_LOGS, MOST_BYTES = 1000, 10**8  # of the workers of a stage
TAIL = 1 << 16  # bytes of a log that are looked at for the last words


def remove(directory: Path) -> None:
    """Remove ``directory``: away from its name at once, then its files.

    :raises UserError: if it cannot be renamed: what is in there would still count
    """
    for left in directory.parent.glob(f".{directory.name}.removed-*"):
        shutil.rmtree(left, ignore_errors=True)
    away = directory.with_name(f".{directory.name}.removed-{secrets.token_hex(4)}")
    try:
        directory.rename(away)
    except OSError as error:
        raise UserError(f"{directory}: cannot be removed ({error.strerror}). Mend that, or remove it yourself") from error
    shutil.rmtree(away, ignore_errors=True)


def check_done(records: Path) -> None:
    """See to it that daisy can read its record of finished blocks; one that was cut off is removed, and all blocks are done."""
    done = records / "done"
    if not done.exists():
        return
    for path in (done / "zarr.json", done / "done" / "zarr.json", done / "failures" / "zarr.json"):
        try:
            sound = isinstance(json.loads(path.read_bytes()), dict)
        except FileNotFoundError:
            sound = True  # daisy makes it
        except ValueError:
            sound = False
        if not sound:
            logger.warning("%s was cut off: which blocks are done is not known any more, and all are done again", path)
            return remove(done)


def prune_logs(directory: Path) -> None:
    """Remove the oldest files until 1000, of together 100 MB, are left."""
    if not directory.is_dir():
        return
    files = sorted(((path, path.stat()) for path in directory.iterdir()), key=lambda each: each[1].st_mtime, reverse=True)
    size = 0
    for number, (path, stat) in enumerate(files):
        size += stat.st_size
        if number >= MOST_LOGS or size > MOST_BYTES:
            path.unlink(missing_ok=True)


def last_words(log: str, offset: int) -> str:
    """What a worker had to say in ``log`` from ``offset`` on, and where the rest is."""
    with Path(log).open("rb") as file:
        file.seek(max(offset, file.seek(0, 2) - TAIL))
        lines = [line.rstrip() for line in file.read().decode(errors="replace").splitlines()[-50:]
                 if line.strip() and not line.startswith("worker function ") and " INFO:lsd_experiments." not in line]
    if not lines:
        return f"The last one said nothing in {log}: it was killed (out of memory?)"
    return "\n".join([f"The last words in {log}:", *(f"    {line}" for line in lines[-5:])])


def failure(path: Path) -> list[str]:
    """The lines of a record of a failed block: where, a traceback or none, what; also if the file was cut off."""
    lines = path.read_text(errors="replace").strip().splitlines()
    return lines if len(lines) > 1 else [*(lines or [f"block {path.stem}"]), "what happened is not known"]
