"""Fetching what a plan says: in parallel, resumable, verified, and visible only as a whole."""

import contextlib
import errno
import os
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

from lsd_experiments.errors import UserError
from lsd_experiments.fetching.plan import File, Plan, Target, is_staged, part_path
from lsd_experiments.fetching.record import NAME, Record
from lsd_experiments.fetching.stores import TRIES, Changed, Interruption, Store, StoredObject, pause
from lsd_experiments.fetching.verify import sha256_of
from lsd_experiments.locks import only_run

IDLE_TRIES = TRIES  # without one byte that came
CHANGES = 3  # of an object while it is fetched


class Stopped(Exception):
    """Another file failed, or Ctrl-C came."""


def transfer(store: Store, plans: Sequence[Plan], jobs: int) -> None:
    """Fetch what ``plans`` miss, one target after the other, with ``jobs`` requests at a time, and one progress bar.

    :raises UserError: if an object is damaged or cannot be read. What came stays for the next run, and no target is in
        its place before it is whole.
    """
    from tqdm import tqdm

    staged = sum(plan.staged for plan in plans)
    total = staged + sum(plan.to_fetch for plan in plans)
    with tqdm(total=total, initial=staged, unit="B", unit_scale=True, desc="fetching", dynamic_ncols=True) as bar:
        for plan in plans:
            _transfer(store, plan, jobs, bar.update)


def _transfer(store: Store, plan: Plan, jobs: int, advance: Callable[[int], object]) -> None:
    target = plan.target
    lock = target.staging.with_name(f".{target.staging.name}.lock")
    with only_run(target.place, lock, "is being fetched by another run"):
        _adopt(store, plan)
        if plan.missing:
            _stage(store, plan, jobs, advance)
            _publish(plan)


def _adopt(store: Store, plan: Plan) -> None:
    """Record files that were there without one (another program fetched them), if they are what they should be."""
    record = Record(plan.target.directory)
    for file in plan.unrecorded:
        path = plan.target.directory / file.path
        flaw = store.flaw(path, file.found)
        if flaw:
            raise UserError(f"{path}: was not fetched, and its content is not that of {file.found.key}: it {flaw}. Move it away")
        record.add(file.path, file.found, _sum(plan.target, path))


def _stage(store: Store, plan: Plan, jobs: int, advance: Callable[[int], object]) -> None:
    target = plan.target
    target.staging.mkdir(parents=True, exist_ok=True)
    record = Record(target.staging)
    open_files = [file for file in plan.missing if not is_staged(target, record, file)]
    _sweep(target, plan, record)
    stop = threading.Event()
    with ThreadPoolExecutor(jobs) as pool:
        futures = [pool.submit(_fetch, store, target, file, record, advance, stop) for file in open_files]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _sweep(target: Target, plan: Plan, record: Record) -> None:
    """Remove what is in the staging directory for objects that changed since, or are gone."""
    kept = {part_path(target, file) for file in plan.missing if file.found.etag}
    kept |= {target.staging / file.path for file in plan.missing if is_staged(target, record, file)}
    for directory, _, names in os.walk(target.staging):
        for path in (Path(directory, name) for name in names):
            if path not in kept and path.name != NAME:
                path.unlink()


def _fetch(
    store: Store, target: Target, file: File, record: Record, advance: Callable[[int], object], stop: threading.Event
) -> None:
    """Fetch one file into the staging directory, and record it; what is damaged once more, from its first byte."""
    path = target.staging / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(2):
        file = _complete(store, target, file, advance, stop)
        part = part_path(target, file)
        flaw = store.flaw(part, file.found)
        if not flaw:
            sha256 = _sum(target, part)
            part.replace(path)
            record.add(file.path, file.found, sha256)
            return
        advance(-_drop(part))
    raise UserError(f"{store.name}: {file.found.key}: damaged: what comes {flaw}. Try again later")


def _sum(target: Target, path: Path) -> str | None:
    """The SHA-256 that is recorded of a file, if its target has them."""
    return sha256_of(path) if target.file else None


def _complete(store: Store, target: Target, file: File, advance: Callable[[int], object], stop: threading.Event) -> File:
    """Bring the file's part to its size; returns the file as it was found in the end."""
    idle = changes = most = 0
    while True:
        part = part_path(target, file)
        begin = _begin(part, file.found, advance)
        try:
            _append(store, file.found, part, begin, advance, stop)
            return file
        except Changed as error:
            changes += 1
            advance(-_drop(part))
            if changes == CHANGES:
                how = f" ({error})" if str(error) else ""
                raise UserError(f"{store.name}: {file.found.key}: changes while it is fetched{how}. Try again later") from None
            most, file = 0, replace(file, found=store.find(file.found.key))
        except Interruption as error:
            there = part.stat().st_size if part.is_file() else 0
            idle = 0 if there > max(begin, most) else idle + 1  # without an ETag, each try begins anew
            most = max(most, there)
            if idle == IDLE_TRIES:
                raise UserError(_broken_off(store, file.found, part, error)) from error
            stop.wait(pause(max(1, idle), error.after))


def _begin(part: Path, found: StoredObject, advance: Callable[[int], object]) -> int:
    """How many bytes to go on from; drops those that are of no use."""
    there = part.stat().st_size if part.is_file() else 0
    if there and (not found.etag or there > found.size):
        _drop(part)
        if found.etag:
            advance(-there)
        return 0
    return there


def _append(
    store: Store, found: StoredObject, part: Path, begin: int, advance: Callable[[int], object], stop: threading.Event
) -> None:
    with _named(part), part.open("ab") as file:
        there = begin
        chunks = store.read(found, begin) if begin < found.size else iter(())
        for chunk in chunks:
            if stop.is_set():
                raise Stopped
            there += len(chunk)
            if there > found.size:
                raise Changed(f"more than the {found.size} bytes that it should have come")
            file.write(chunk)
            advance(len(chunk))
        if stop.is_set():
            raise Stopped
    if there != found.size:
        raise Interruption(f"{there} of {found.size} bytes came")


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    """Give an error of the file system the name of the file."""
    try:
        yield
    except OSError as error:
        if error.filename is not None:
            raise
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from error


def _drop(part: Path) -> int:
    """Remove ``part``; how many bytes it had."""
    size = part.stat().st_size if part.is_file() else 0
    part.unlink(missing_ok=True)
    return size


def _broken_off(store: Store, found: StoredObject, part: Path, error: Exception) -> str:
    there = part.stat().st_size if part.is_file() else 0
    again = "goes on from there" if found.etag else "starts it anew"
    return (
        f"{store.name}: {found.key}: the connection broke off after {there} of {found.size} bytes ({error}). The same command "
        f"{again}"
    )


def _publish(plan: Plan) -> None:
    """Move a whole target to its place: at once, if there is none of it yet, else file by file."""
    staging, directory = plan.target.staging, plan.target.directory
    if not directory.exists():
        staging.rename(directory)
        return
    record = Record(directory)
    staged = Record(staging)
    for file in plan.missing:
        (directory / file.path).parent.mkdir(parents=True, exist_ok=True)
        (staging / file.path).replace(directory / file.path)
        size, etag = staged.entries[file.path]
        record.add(file.path, StoredObject(file.found.key, size, etag), staged.sums[file.path])
    shutil.rmtree(staging)
