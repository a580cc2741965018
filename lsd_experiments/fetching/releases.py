"""Datasets whose files are at URLs: which of them options ask for, and where they go."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from lsd_experiments.errors import UserError, nearest
from lsd_experiments.fetching.plan import Plan, make_plan, single_file
from lsd_experiments.fetching.stores import DirectoryStore, Store
from lsd_experiments.fetching.urls import UrlStore

if TYPE_CHECKING:
    from lsd_experiments.fetching.catalogue import Catalogue, Release


def choose_files(
    catalogue: "Catalogue", datasets: Sequence[str] | None, volumes: Sequence[str] | None, everything: bool
) -> list[tuple["Release", tuple[str, ...]]]:
    """The names of the files that options ask for, by release: by name, all, or what training needs.

    Where no dataset is named, a file must be: what is fetched without options is the paper's.

    :raises UserError: if releases alone are named, and none has a file of a name.
    """
    asked = [release for name, release in catalogue.releases.items() if datasets is None or name in datasets]
    if volumes:
        known = [name for release in asked for name in release.data]
        unknown = [name for name in volumes if name not in known]
        if unknown and datasets is not None and {*datasets} <= {*catalogue.releases}:
            hint = f"{nearest(unknown[0], known)} (known: {', '.join(known)})"
            raise UserError(f"no file '{unknown[0]}' in {', '.join(datasets)}{hint}")
        chosen = [(release, tuple(name for name in dict.fromkeys(volumes) if name in release.data)) for release in asked]
        return [(release, names) for release, names in chosen if names]
    if datasets is None:
        return []
    return [(release, _names(release.training + (release.further if everything else ()))) for release in asked]


def open_release(release: "Release", names: Sequence[str], url: str | None, mirror: Path | None, jobs: int) -> Store:
    """Where the files of these names come from: ``url`` in place of the published one, or a directory, if there is one."""
    if mirror:
        return DirectoryStore(mirror)
    base = (url or release.url).rstrip("/")
    urls = {release.prefix + name: f"{base}/{quote(release.paths[name])}" for name in names}
    sums, md5s = ({release.prefix + name: value for name, value in of.items()} for of in (release.sha256, release.md5))
    return UrlStore(base, urls, sums, jobs, md5s)


def plan_files(store: Store, release: "Release", names: Sequence[str], directory: Path, jobs: int) -> list[Plan]:
    """A plan for each file, into ``directory``: each is of use alone."""

    def plan(name: str) -> Plan:
        key = release.prefix + name
        return make_plan(single_file(key, directory), [store.find(key)])

    with ThreadPoolExecutor(min(jobs, len(names))) as pool:
        return list(pool.map(plan, names))


def _names(paths: Sequence[str]) -> tuple[str, ...]:
    return tuple(path.rpartition("/")[2] for path in paths)
