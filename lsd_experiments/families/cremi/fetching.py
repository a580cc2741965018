"""The command behind ``01_data/fetch_cremi.py``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lsd_experiments import cli
from lsd_experiments.errors import UserError
from lsd_experiments.fetching.command import DATA, add_common, fetch_release

SAMPLES = ("A", "B", "C", "A+", "B+", "C+")
SOURCES = {"cremi": "cremi", "aligned": "cremi_aligned", "tutorial": "cremi_tutorial"}
OF_OTHERS = {"aligned": ["cremi.zip"], "tutorial": ["im_C.h5", "syn_C.h5", "checkpoint_150000.pth.tar"]}


def main(description: str | None, arguments: Sequence[str] | None = None) -> None:
    """Fetch samples, and look whether they are what they should be."""
    parser = cli.parser(description)
    add = parser.add_argument
    add("--sample", nargs="+", choices=SAMPLES, metavar="NAME", help=f"of {', '.join(SAMPLES)} (default: A B C)")
    add("--padded", action="store_true", help="with the tissue around what is labelled: 200 x 3072 x 3072 voxels")
    add("--source", choices=SOURCES, default="cremi", help="cremi.org (default), or those of PyTorch Connectomics")
    add("--dest", type=Path, default=DATA, metavar="DIR", help="where cremi/ is made (default: 01_data)")
    add_common(parser)
    cli.run(_fetch, parser, arguments)


def file_of(sample: str, padded: bool) -> str:
    """What cremi.org calls the file of ``sample``."""
    date = "20160601" if sample.endswith("+") else "20160501"
    return f"sample_{sample}{'_padded' if padded else ''}_{date}.hdf"


def _fetch(options: argparse.Namespace) -> int:
    if options.source != "cremi" and (options.sample or options.padded):
        raise UserError(f"--source {options.source}: is of fixed files. Leave out --sample and --padded")
    samples = list(dict.fromkeys(options.sample or SAMPLES[:3]))
    names = OF_OTHERS.get(options.source) or [file_of(sample, options.padded) for sample in samples]
    places = fetch_release(SOURCES[options.source], names, options)
    if options.dry_run or options.source != "cremi":
        return 0
    faults = [fault for place, sample in zip(places, samples, strict=True) for fault in check_sample(place, sample)]
    print("\n".join(faults) or f"checked: {', '.join(samples)}")
    return 1 if faults else 0


def check_sample(path: Path, sample: str) -> list[str]:
    """What is wrong with the file ``path`` of ``sample``, a line for each."""
    from lsd_experiments.arrays.grids import show
    from lsd_experiments.families.cremi.files import read_cremi
    from lsd_experiments.families.cremi.ids import RESOLUTION

    try:
        content = read_cremi(path)
    except UserError as error:
        return [str(error)]
    wanted = ["raw"] if sample.endswith("+") else ["raw", "neuron_ids", "clefts"]
    faults = [f"{path}: has no {name}" for name in wanted if name not in content.volumes]
    faults += [f"{path}: {name} has voxels of {show(volume.voxel_size)} nm, not {show(RESOLUTION)}"
               for name, volume in content.volumes.items() if volume.voxel_size != RESOLUTION]
    if not sample.endswith("+") and not content.annotations.partners:
        faults.append(f"{path}: has no synaptic partners")
    return faults
