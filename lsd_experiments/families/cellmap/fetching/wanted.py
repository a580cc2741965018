"""Which crops: the manifest of those that are annotated, and of those that are scored.

    id,dataset,alignment,gt_source,em_url
    234,jrc_cos7-1a,recon-1,s3://bucket/jrc_cos7-1a/jrc_cos7-1a.zarr/recon-1/labels/groundtruth/crop234,s3://bucket/...

Both come with the challenge's toolbox (manifest.csv and test_crop_manifest.csv) and are no part of this package.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lsd_experiments.errors import UserError
from lsd_experiments.families.cellmap.manifest import Target, crop_name
from lsd_experiments.fetching.plan import is_safe_name

COLUMNS = 5
WHERE = ("It is src/cellmap_segmentation_challenge/utils/manifest.csv of the challenge's toolbox: put it to data/, or name it "
         "with --crop-manifest")


@dataclass(frozen=True)
class Source:
    """A row: a crop, its dataset, and where its labels and raw are, as (bucket, key)."""

    crop: str
    dataset: str
    alignment: str
    labels: tuple[str, str]
    raw: tuple[str, str]


@dataclass(frozen=True)
class Wanted:
    """A crop to fetch. ``labels``: None of one that is scored, of which ``targets`` say where it is."""

    crop: str
    dataset: str
    alignment: str
    labels: tuple[str, str] | None
    raw: tuple[str, str]
    targets: tuple[Target, ...] = ()


def read_sources(path: str | Path) -> list[Source]:
    """The rows of the manifest of annotated crops.

    :raises UserError: if it is not there, a row is nonsense, or a name would lead out of its directory
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such manifest of annotated crops. {WHERE}")
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    return [_source(row, f"{path}: line {number}") for number, row in enumerate(rows[1:], 2) if row]


def _source(row: Sequence[str], where: str) -> Source:
    if len(row) != COLUMNS:
        raise UserError(f"{where} has {len(row)} columns, not {COLUMNS}: crop, dataset, alignment, labels, raw. {WHERE}")
    number, dataset, alignment, labels, raw = (value.strip() for value in row)
    crop = crop_name(number)
    for name in (crop, dataset, alignment):
        if not is_safe_name(name):
            raise UserError(f"{where}: {name!r} is no name of a directory. Correct it")
    source = Source(crop, dataset, alignment, _place(labels, where), _place(raw, where))
    if alignment not in source.raw[1].split("/"):
        raise UserError(f"{where}: {raw} has no {alignment} in it, below which it is put. Correct it")
    return source


def _place(url: str, where: str) -> tuple[str, str]:
    """Bucket and key of ``s3://bucket/key``."""
    scheme, _, rest = url.partition("://")
    bucket, _, key = rest.strip("/").partition("/")
    if scheme != "s3" or not bucket or not key or not all(map(is_safe_name, key.split("/"))):
        raise UserError(f"{where}: {url!r} is no place in a bucket, like s3://bucket/a.zarr/recon-1. Correct it")
    return bucket, key


def choose(crops: str, sources: Sequence[Source], targets: Sequence[Target]) -> list[Wanted]:
    """The crops that ``crops`` names: ``all``, ``test``, or numbers with commas between.

    :raises UserError: if one is in no manifest, or a dataset's raw is nowhere
    """
    annotated = {source.crop: Wanted(source.crop, source.dataset, source.alignment, source.labels, source.raw)
                 for source in sources}
    raw = {source.dataset: source for source in sources}
    scored: dict[str, Wanted] = {}
    for target in targets:
        if target.dataset not in raw:
            raise UserError(f"{target.name}: no annotated crop is of {target.dataset}, so that it is not known where its raw is. "
                            "Take both manifests of one version")
        source, before = raw[target.dataset], scored.get(target.crop)
        rows = (*before.targets, target) if before else (target,)
        scored[target.crop] = Wanted(target.crop, target.dataset, source.alignment, None, source.raw, rows)
    if crops == "all":
        return [*annotated.values(), *scored.values()]
    if crops == "test":
        if not scored:
            raise UserError("--crops test: the manifest of test crops has none. Name it with --manifest")
        return list(scored.values())
    found = []
    for name in dict.fromkeys(crop_name(part.strip()) for part in crops.split(",") if part.strip()):
        if name not in annotated and name not in scored:
            raise UserError(f"--crops: no {name} in the manifests of {len(annotated)} annotated and {len(scored)} test crops")
        found.append(annotated.get(name) or scored[name])
    if not found:
        raise UserError("--crops: names no crop. Write all, test, or numbers like 234,235")
    return found
