"""``csc visualize``."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lsd_experiments import cli
from lsd_experiments.families.cellmap.commands.options import MANIFEST, SEARCH_PATH, Subparsers, names

if TYPE_CHECKING:
    from lsd_experiments.families.cellmap.showing import Shown
    from lsd_experiments.viewing.linking import Linked

PREDICTIONS, PROCESSED = "data/predictions/{dataset}.zarr/{crop}", "data/processed/{dataset}.zarr/{crop}"
SUBMISSION = "data/submission.zarr/{crop}"
KINDS = ("gt", "predictions", "processed", "submission")
PAGE = "https://neuroglancer-demo.appspot.com"


def visualize(options: argparse.Namespace) -> None:
    """Serve a viewer for each dataset until Ctrl-C, or write pictures."""
    from lsd_experiments.families.cellmap.showing import views_of, write_pictures

    if options.pictures is not None:
        print(*write_pictures(_shown(options), options.pictures, options.section), sep="\n")
        return
    from lsd_experiments.viewing.server import serve_links, serve_several

    if options.link:
        serve_links(lambda: _linked(_shown(options)), options.bind_address, options.port, options.page)
    else:
        serve_several(lambda: views_of(_shown(options)), options.bind_address, options.port)


def _shown(options: argparse.Namespace) -> "list[Shown]":
    from lsd_experiments.families.cellmap.manifest import read_manifest
    from lsd_experiments.families.cellmap.places import crop_names
    from lsd_experiments.families.cellmap.showing import find_shown

    targets = read_manifest(options.manifest) if "test" in options.crops or Path(options.manifest).is_file() else []
    known = {target.crop: target.dataset for target in targets}
    crops = [name for one in options.crops for name in (known if one == "test" else crop_names([one]))]
    truth = options.search_path.replace("{name}", options.crop_name.removesuffix("/{label}"))
    patterns = {"gt": truth, "predictions": options.predictions_path, "processed": options.processed_path,
                "submission": options.submission_path}
    raw = options.search_path.replace("{name}", options.raw_name)
    return find_shown({kind: patterns[kind] for kind in options.kinds}, raw, options.datasets, crops, options.classes, known)


def _linked(shown: "list[Shown]") -> "list[Linked]":
    """Those that neuroglancer reads itself, with their voxel sizes: OME-Zarr."""
    from lsd_experiments.errors import UserError
    from lsd_experiments.viewing.linking import linked_volumes

    found: list[Linked] = []
    for one in shown:
        group = one.volume.dataset.rpartition("/")[0]
        for name in (one.volume.dataset, group):  # an image, or its finest level
            try:
                linked, = linked_volumes([f"{one.volume.container}:{name}"])
                found.append(replace(linked, name=one.name, is_labels=one.is_segmentation))
                break
            except UserError:
                continue
    if not found:
        raise UserError("--link: none of these is OME-Zarr, which neuroglancer reads itself. Leave out --link")
    return found


def _kinds(text: str) -> list[str]:
    found = names(text)
    for kind in found:
        if kind not in KINDS:
            raise argparse.ArgumentTypeError(f"{kind!r} is none of {', '.join(KINDS)}")
    return found


def add(commands: "Subparsers[argparse.ArgumentParser]") -> None:
    """Add the parser."""
    parser = commands.add_parser("visualize", help="look at raw, truth, predictions, what was made of them, and a submission")
    parser.set_defaults(command=visualize)
    parser.add_argument("--datasets", "-d", type=names, default=["*"], help="like jrc_cos7-1a,jrc_mus*")
    parser.add_argument("--crops", "-c", type=names, default=["*"], help="like crop557,12, or test (default: all)")
    parser.add_argument("--classes", "-C", type=names, default=["*"], help="like nuc,er (default: all)")
    parser.add_argument("--kinds", "-k", type=_kinds, default=list(KINDS), help=f"of {','.join(KINDS)} (default: all)")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="write a picture of each crop and class, and end")
    parser.add_argument("--section", type=cli.not_negative, metavar="N",
                        help="of pictures: along z, from 0 (default: the middle)")
    parser.add_argument("--link", action="store_true", help="print a link to neuroglancer's page for what is OME-Zarr, which it "
                        "reads itself")
    parser.add_argument("--page", default=PAGE, metavar="URL", help="of --link: where neuroglancer is (default: %(default)s)")
    parser.add_argument("--search-path", "--search_path", "-s", default=SEARCH_PATH,
                        help="where datasets lie (default: %(default)s)")
    parser.add_argument("--raw-name", "--raw_name", "-r", default="em/fibsem-uint8", help="default: %(default)s")
    parser.add_argument("--crop-name", "--crop_name", "-n", default="labels/groundtruth/{crop}/{label}",
                        help="default: %(default)s")
    for kind, place in (("predictions", PREDICTIONS), ("processed", PROCESSED), ("submission", SUBMISSION)):
        parser.add_argument(f"--{kind}-path", f"--{kind}_path", default=place, help="default: %(default)s")
    parser.add_argument("--manifest", "-m", default=MANIFEST,
                        help="which says of which dataset test crops are (default: %(default)s)")
    # As of lsd_experiments.viewing.server.add_server_options, whose package takes long to import.
    parser.add_argument("-b", "--bind-address", "--host", default="127.0.0.1", metavar="ADDRESS",
                        help="where the server listens (default: 127.0.0.1, this machine only; 0.0.0.0: everywhere)")
    parser.add_argument("-p", "--port", type=int, default=0, help="default: any that is free")
