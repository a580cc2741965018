"""The commands: ``fetch_data.py``, ``fetch_checkpoint.py`` and ``download_images.py``."""

import argparse
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from lsd_experiments import cli
from lsd_experiments.errors import UserError, nearest
from lsd_experiments.fetching.plan import Plan, check_room, is_safe_name, make_plan, readable, whole_directory, within_directory
from lsd_experiments.fetching.record import put_sums
from lsd_experiments.fetching.releases import choose_files, open_release, plan_files
from lsd_experiments.fetching.s3 import S3Store
from lsd_experiments.fetching.stores import DirectoryStore, Store, StoredObject
from lsd_experiments.fetching.transfer import transfer
from lsd_experiments.writing import check_writable

if TYPE_CHECKING:
    from lsd_experiments.fetching.catalogue import Catalogue, Entry, Release

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "01_data"
CATALOGUE = DATA / "datasets.toml"
JOBS = 16
POINTER = "checkpoint"  # names the newest; training writes it, too
CHECKPOINT_FILE = re.compile(r"train_net_checkpoint_(\d+)\.(index|meta|data-\d{5}-of-\d{5})")  # as TensorFlow 1 names them


def data_main(description: str | None, arguments: Sequence[str] | None = None) -> None:
    """``fetch_data.py``: training volumes, into ``<dest>/funke/<dataset>/training/``; XPRESS into ``<dest>/xpress/``."""
    parser = cli.parser(description)
    add = parser.add_argument
    text = "as datasets.toml calls it; may be repeated (default: those of the bucket)"
    add("--dataset", action="append", metavar="NAME", help=text)
    which = parser.add_mutually_exclusive_group()
    text = "may be repeated (default: each dataset's first; of files at URLs what training needs)"
    which.add_argument("--volume", action="append", metavar="NAME", help=text)
    which.add_argument("--all", action="store_true", help="all volumes of the datasets")
    add("--dest", type=Path, default=DATA, metavar="DIR", help="where funke/ and xpress/ are made (default: 01_data)")
    add_common(parser)
    cli.run(_fetch_data, parser, arguments)


def checkpoint_main(description: str | None, arguments: Sequence[str] | None = None) -> None:
    """``fetch_checkpoint.py``: a published network's weights, into ``<dest>/<dataset>/<variant>/``."""
    parser = cli.parser(description)
    add = parser.add_argument
    add("--dataset", default="zebrafinch", metavar="NAME", help="as datasets.toml calls it (default: zebrafinch)")
    add("--variant", default="baseline", metavar="NAME", help="as its directory is called (default: baseline)")
    add("--iteration", type=cli.positive, metavar="N", help="default: the one that the paper evaluates")
    add("--dest", type=Path, default=ROOT / "02_train", metavar="DIR", help="default: 02_train")
    add_common(parser)
    cli.run(_fetch_checkpoint, parser, arguments)


def images_main(description: str | None, arguments: Sequence[str] | None = None) -> None:
    """``download_images.py``: the published container images, into ``<dest>/``."""
    parser = cli.parser(description)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--image", action="append", metavar="NAME", help="may be repeated (default: lsd:v0.8.img, the paper's)")
    which.add_argument("--all", action="store_true", help="both")
    parser.add_argument("--dest", type=Path, default=ROOT / "containers", metavar="DIR", help="default: containers")
    add_common(parser)
    cli.run(_fetch_images, parser, arguments)


def fetch_release(dataset: str, names: Sequence[str], options: argparse.Namespace) -> list[Path]:
    """Fetch the files ``names`` of a release into ``options.dest``, or say what that would be; where they are.

    :param options: those of :func:`add_common`, and ``dest``
    """
    release = _catalogue().releases[dataset]
    directory = options.dest / release.prefix
    carry_out([_plan_release(release, names, directory, options)], options)
    return [directory / name for name in names]


def add_common(parser: argparse.ArgumentParser) -> None:
    """The options that all commands have."""
    add = parser.add_argument
    add("--dry-run", action="store_true", help="print sizes, check for room on the disk, and fetch nothing")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--endpoint-url", metavar="URL", help="another S3 server (default: AWS_ENDPOINT_URL, or Amazon's); "
                        "for xpress, the URL that its files are below")
    text = "copy from a directory with funke/ as in the bucket, or xpress/; a file that was begun starts again"
    source.add_argument("--mirror", type=Path, metavar="DIR", help=text)
    add("--jobs", type=cli.positive, default=JOBS, metavar="N", help=f"requests at a time (default: {JOBS})")


def _fetch_data(options: argparse.Namespace) -> None:
    catalogue = _catalogue()
    files = choose_files(catalogue, options.dataset, options.volume, options.all)
    chosen = _of_the_bucket(catalogue, options, {name for _, names in files for name in names})
    if options.endpoint_url and len(files) + bool(chosen) > 1:
        raise UserError("--endpoint-url is for one source. Name datasets of the bucket, or one that is at URLs")
    work = []
    if chosen:
        store = _open_store(catalogue, options)
        with ThreadPoolExecutor(min(options.jobs, len(chosen))) as pool:
            work.append((store, list(pool.map(lambda choice: _plan_volume(store, choice[0], choice[1], options.dest), chosen))))
    for release, names in files:
        work.append(_plan_release(release, names, options.dest / release.prefix, options))
    carry_out(work, options)


def _of_the_bucket(catalogue: "Catalogue", options: argparse.Namespace, files: set[str]) -> list[tuple["Entry", str]]:
    """The volumes in the bucket that options ask for, beside ``files`` at URLs."""
    datasets = options.dataset and [name for name in options.dataset if name not in catalogue.releases]
    volumes = options.volume and [name for name in options.volume if name not in files]
    if datasets == [] or (options.volume and not volumes):
        return []
    return choose_volumes(catalogue, datasets, volumes, options.all)


def _plan_release(
    release: "Release", names: Sequence[str], directory: Path, options: argparse.Namespace
) -> tuple[Store, list[Plan]]:
    store = open_release(release, names, options.endpoint_url, options.mirror, options.jobs)
    store.check()
    return store, plan_files(store, release, names, directory, options.jobs)


def choose_volumes(
    catalogue: "Catalogue", datasets: Sequence[str] | None, volumes: Sequence[str] | None, everything: bool
) -> list[tuple["Entry", str]]:
    """The volumes that options ask for, each with its dataset's entry: by name, all, or each dataset's first.

    A name that the catalogue lacks may be in the bucket, if there is one dataset to look in.
    """
    entries = {name: catalogue.entry(name) for name in datasets or catalogue.datasets}
    if not volumes:
        return [(entry, name) for entry in entries.values() for name in (entry.volumes if everything else entry.volumes[:1])]
    chosen = []
    for volume in dict.fromkeys(name.rstrip("/") for name in volumes):
        if not is_safe_name(volume):
            like = next(iter(entries.values())).volumes[0]
            raise UserError(f"--volume {volume!r}: is no volume's name. Name the volume alone, like {like}")
        having = [entry for entry in entries.values() if volume in entry.volumes] or list(entries.values())
        if len(having) > 1:
            known = [name for entry in having for name in entry.volumes]
            raise UserError(f"no volume '{volume}' in {', '.join(entries)}{nearest(volume, known)} ({CATALOGUE.name} lists them)")
        chosen.append((having[0], volume))
    return chosen


def _plan_volume(store: Store, entry: "Entry", volume: str, dest: Path) -> Plan:
    target = whole_directory(f"{entry.prefix}{volume}/", dest / entry.prefix / volume)
    objects = list(store.objects(target.prefix))
    if not objects:
        there = [name for name in store.names(entry.prefix) if name != "checkpoints"]
        shown = ", ".join(there[:4]) + (", ..." if len(there) > 4 else "")
        raise UserError(
            f"{store.name}: {entry.prefix}: no volume '{volume}'{nearest(volume, there)} (found: {shown or 'none'}). "
            "Name one that is there by --volume"
        )
    return make_plan(target, objects)


def _fetch_checkpoint(options: argparse.Namespace) -> None:
    catalogue = _catalogue()
    release = catalogue.releases.get(options.dataset)
    entry = release or catalogue.entry(options.dataset)
    if options.variant not in entry.iterations:
        raise UserError(
            f"{options.dataset} {options.variant}: no published weights{nearest(options.variant, entry.iterations)} ("
            f"known: {', '.join(entry.iterations)})"
        )
    if release:
        return _fetch_weights(release, options)
    entry = catalogue.entry(options.dataset)
    store = _open_store(catalogue, options)
    prefix = f"{entry.prefix}checkpoints/{options.variant}/"
    directory = options.dest / options.dataset / options.variant
    iteration = options.iteration or entry.iterations[options.variant]
    objects = checkpoint_objects(list(store.objects(prefix)), prefix, iteration, f"{store.name}: {prefix}")
    if (directory / POINTER).exists():  # ours, or fetched: training moves it on
        objects = [found for found in objects if found.key != prefix + POINTER]
    carry_out([(store, [make_plan(within_directory(prefix, directory), objects)])], options)


def _fetch_weights(release: "Release", options: argparse.Namespace) -> None:
    """The weights of a variant that are one file at a URL."""
    name, iteration = release.checkpoints[options.variant].rpartition("/")[2], release.iterations[options.variant]
    if options.iteration not in (None, iteration):
        raise UserError(f"{name}: the published weights are of iteration {iteration} alone, not {options.iteration}")
    carry_out([_plan_release(release, [name], options.dest / options.dataset / options.variant, options)], options)


def checkpoint_objects(objects: Sequence[StoredObject], prefix: str, iteration: int, place: str) -> list[StoredObject]:
    """Of ``objects`` below ``prefix``, the files of the checkpoint of ``iteration``, and the pointer last."""
    names = {found.key.removeprefix(prefix): found for found in objects}
    matched = {name: match for name in names if (match := CHECKPOINT_FILE.fullmatch(name))}
    wanted = [name for name, match in matched.items() if int(match[1]) == iteration]
    kinds = {matched[name][2].partition("-")[0] for name in wanted}
    if not kinds >= {"index", "data"}:
        there = ", ".join(map(str, sorted({int(match[1]) for match in matched.values()}))) or "none"
        raise UserError(f"{place}: no checkpoint of iteration {iteration} (found: {there}). Name one by --iteration")
    return [names[name] for name in (*sorted(wanted), POINTER) if name in names]


def _fetch_images(options: argparse.Namespace) -> None:
    catalogue = _catalogue()
    images = catalogue.images
    chosen = images.names if options.all else options.image or images.names[:1]
    for name in chosen:
        if name not in images.names:
            raise UserError(f"no image '{name}'{nearest(name, images.names)} (known: {', '.join(images.names)})")
    store = _open_store(catalogue, options)
    objects = [found for found in store.objects(images.prefix) if found.key.removeprefix(images.prefix) in chosen]
    absent = set(chosen) - {found.key.removeprefix(images.prefix) for found in objects}
    if absent:
        raise UserError(f"{store.name}: {images.prefix}: no {', '.join(sorted(absent))} there. Check --endpoint-url or --mirror")
    carry_out([(store, [make_plan(within_directory(images.prefix, options.dest), objects)])], options)


def _catalogue() -> "Catalogue":
    from lsd_experiments.fetching.catalogue import load_catalogue  # reads settings, which takes long to import

    return load_catalogue(CATALOGUE)


def _open_store(catalogue: "Catalogue", options: argparse.Namespace) -> Store:
    store: Store
    if options.mirror:
        store = DirectoryStore(options.mirror)
    else:
        store = S3Store(catalogue.bucket.name, catalogue.bucket.region, options.endpoint_url, options.jobs)
    store.check()
    return store


def carry_out(work: Sequence[tuple[Store, Sequence[Plan]]], options: argparse.Namespace) -> None:
    """Fetch, and print what is where; or print the sizes only."""
    plans = [plan for _, of_store in work for plan in of_store]
    if options.dry_run:
        for plan in plans:
            print(_summary(plan) + f", {readable(plan.to_fetch)} to fetch")
        print(f"total: {readable(sum(plan.size for plan in plans))}, {readable(sum(plan.to_fetch for plan in plans))} to fetch")
    free = check_room(plans, options.dest)
    if options.dry_run:
        print(f"free: {readable(free)}")
        return
    for store, of_store in work:
        if any(plan.missing or plan.unrecorded for plan in of_store):
            check_writable(options.dest.absolute())
            transfer(store, of_store, options.jobs)
    for directory in {plan.target.directory for plan in plans if plan.target.file}:
        put_sums(directory)
    for plan in plans:
        print(_summary(plan) + ("" if plan.missing else ": there already"))


def _summary(plan: Plan) -> str:
    objects = "" if plan.target.file else f"{len(plan.files)} object{'s' if len(plan.files) != 1 else ''}, "
    return f"{plan.target.place}: {objects}{readable(plan.size)}"
