"""The samples that a configuration asks for. A configuration is its tree: ``tree["DATASET"]["IMAGE_NAME"]``."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from lsd_experiments.errors import UserError
from lsd_experiments.families.pytc.rejection import Rejection
from lsd_experiments.families.pytc.samples.augmentor import Augmentor
from lsd_experiments.families.pytc.samples.sampler import TRIALS, Sampler
from lsd_experiments.families.pytc.samples.sources import MEMORY, UNIT, Chunks, Source, open_sources
from lsd_experiments.families.pytc.targets import TUTORIAL

Tree = Mapping[str, Any]
T = TypeVar("T")

PUBLISHED_TRIALS = 50  # NUM_TRIAL by default: so few that trainings on sparse labels would end in an error; taken for not said


def training_sampler(tree: Tree, seed: int = 0, rank: int = 0, ranks: int = 1, revision: str = TUTORIAL,
                     memory: int = MEMORY) -> Sampler:
    """Augmented samples of the training volumes.

    :param rank: of ``ranks`` processes; of them each has volumes of its own with DATASET.DISTRIBUTED, else all have all
    :param memory: bytes that volumes may take before they are read box by box
    :raises UserError: if volumes are not there or do not fit
    """
    dataset = tree["DATASET"]
    share = (rank, ranks) if dataset["DISTRIBUTED"] else (0, 1)
    sources = _open(tree, "", dataset["PAD_SIZE"], _chunks(dataset, rank, ranks), memory, share)
    rejection = dataset["REJECT_SAMPLING"]
    augmentor = Augmentor(tuple(tree["MODEL"]["INPUT_SIZE"]), tree["AUGMENTOR"], bool(dataset["DO_2D"]))
    trials = rejection.get("NUM_TRIAL", PUBLISHED_TRIALS)
    return replace(_sampler(tree, sources, augmentor, seed, revision),
                   rejection=Rejection(rejection["SIZE_THRES"], rejection["DIVERSITY"], rejection["P"]),
                   trials=TRIALS if trials == PUBLISHED_TRIALS else trials)


def validation_sampler(tree: Tree, seed: int = 0, revision: str = TUTORIAL, memory: int = MEMORY) -> Sampler | None:
    """Samples of the validation volumes as they are; None if there are no such volumes."""
    dataset = tree["DATASET"]
    if dataset["VAL_IMAGE_NAME"] is None:
        return None
    augmentor = Augmentor(tuple(tree["MODEL"]["INPUT_SIZE"]), None, bool(dataset["DO_2D"]))
    return _sampler(tree, _open(tree, "VAL_", dataset["VAL_PAD_SIZE"], None, memory), augmentor, seed, revision)


def _sampler(tree: Tree, sources: Sequence[Source], augmentor: Augmentor, seed: int, revision: str) -> Sampler:
    model, dataset = tree["MODEL"], tree["DATASET"]
    return Sampler(sources, augmentor, model["TARGET_OPT"], model["WEIGHT_OPT"], model["LABEL_EROSION"], model["LABEL_DILATION"],
                   valid_ratio=dataset["VALID_RATIO"], mean=dataset["MEAN"], std=dataset["STD"], seed=seed, revision=revision)


def _open(tree: Tree, before: str, pad: Sequence[int], chunks: Chunks | None, memory: int,
          share: tuple[int, int] = (0, 1)) -> list[Source]:
    """``share``: the process, and of how many that volumes are dealt to; of others' nothing is opened."""
    dataset = tree["DATASET"]
    if dataset["LABEL_MAG"]:
        raise UserError("DATASET.LABEL_MAG: labels that are divided are no ids. Leave it 0, and convert the labels")
    images, labels, masks = (_files(dataset, f"{before}{name}") for name in ("IMAGE_NAME", "LABEL_NAME", "VALID_MASK_NAME"))
    if not images or not labels:
        missing = "LABEL_NAME" if images else "IMAGE_NAME"
        raise UserError(f"DATASET.{before}{missing}: names no volume, which training needs. Set it")
    if len(images) == len(labels) == len(masks or images):  # else it is said by what opens them
        images, labels, masks = dealt(images, *share), dealt(labels, *share), None if masks is None else dealt(masks, *share)
    scale = [dataset["DATA_SCALE"], *(dataset.get(f"{name}_SCALE") for name in ("IMAGE", "LABEL", "VALID_MASK"))]
    scales = {tuple(map(float, factors)) for factors in scale if factors is not None} - {UNIT}
    if len(scales) > 1:
        raise UserError("DATASET: IMAGE_SCALE, LABEL_SCALE and VALID_MASK_SCALE differ. Give volumes of equal voxels, one scale")
    return open_sources(images, labels, masks, pad=pad, pad_mode=dataset["PAD_MODE"], normalize=dataset["NORMALIZE_RANGE"],
                        scale=next(iter(scales), UNIT), binary=dataset["LABEL_BINARY"],
                        vast=dataset["LABEL_VAST"], chunks=chunks, memory=memory)


def _files(dataset: Tree, name: str) -> list[Path] | None:
    return None if dataset[name] is None else find_files(dataset["INPUT_PATH"], dataset[name], dataset["IS_ABSOLUTE_PATH"],
                                                         f"DATASET.{name}")


def find_files(folders: str | Sequence[str], names: str | Sequence[str], absolute: bool, key: str) -> list[Path]:
    """The files that INPUT_PATH and names stand for: a list, names with ``@`` between, or a .txt file with one in a line.

    :param folders: one for all, or one for each, in the same ways
    :param absolute: whether names are whole paths
    :param key: what messages call the names
    :raises UserError: if there are neither one nor as many folders as files
    """
    parts = _parts(names)
    if len(parts) == 1 and parts[0].endswith(".txt"):
        listing = Path(parts[0]) if absolute else Path(_parts(folders)[0], parts[0])
        try:
            parts = [line.strip() for line in listing.read_text().splitlines() if line.strip()]
        except OSError as error:
            raise UserError(f"{key}: {listing} cannot be read ({error.strerror}). Name a list of files, one in a line") from None
    if absolute:
        return [Path(part) for part in parts]
    places = _parts(folders)
    if len(places) not in (1, len(parts)):
        raise UserError(f"{key}: {len(parts)} files in {len(places)} folders. Name one folder by DATASET.INPUT_PATH, or one each")
    return [Path(place, part) for place, part in zip(places * (len(parts) if len(places) == 1 else 1), parts, strict=True)]


def _parts(text: str | Sequence[str]) -> list[str]:
    return text.split("@") if isinstance(text, str) else list(text)


def _chunks(dataset: Tree, rank: int, ranks: int) -> Chunks | None:
    """The chunks of DO_CHUNK_TITLE, of which CHUNK_IND_SPLIT (part and parts, or "part-parts") has a part of its own."""
    if not dataset["DO_CHUNK_TITLE"]:
        return None
    chosen = dataset["DATA_CHUNK_IND"]
    chunks = Chunks(tuple(dataset["DATA_CHUNK_NUM"]), dataset["DATA_CHUNK_ITER"], dataset["DATA_CHUNK_STRIDE"],
                    None if chosen is None else tuple(chosen))
    if (split := dataset["CHUNK_IND_SPLIT"]) is None:
        return chunks
    try:
        part, parts = (int(number) for number in (split.split("-") if isinstance(split, str) else split))
        return chunks.part(part, parts)
    except ValueError as error:
        raise UserError(f"DATASET.CHUNK_IND_SPLIT: {split} names no part of the chunks ({error}). Give a part and how many, "
                        "like [0, 2]") from None


def dealt(sources: Sequence[T], rank: int, ranks: int) -> list[T]:
    """The volumes of a process, dealt in turn; where there are more processes than volumes, they begin again."""
    return list(sources[rank::ranks]) or [sources[rank % len(sources)]]
