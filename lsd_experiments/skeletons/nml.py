"""NML, of KNOSSOS and webKnossos: nodes in voxels, and how large these are; each ``thing`` is a tree.

Only scale, nodes and edges are read. A document type, with which XML can name other files and blow up, is refused.
"""

from pathlib import Path
from xml.parsers import expat

from lsd_experiments.errors import UserError
from lsd_experiments.skeletons.rows import Nodes, real, whole
from lsd_experiments.skeletons.skeleton import Skeletons

UNITS = {"nanometer": 1.0, "micrometer": 1e3, "millimeter": 1e6, "angstrom": 0.1, "nm": 1.0, "um": 1e3, "µm": 1e3}  # nm


def read_nml(path: Path) -> Skeletons:
    """The skeletons in ``path``, nm: a node in voxel v lies where that begins, at v times the scale.

    :raises UserError: if it is no NML, has no scale, or an attribute is wrong.
    """
    document = _Document(path)
    try:
        with path.open("rb") as file:
            document.parser.ParseFile(file)
    except expat.ExpatError as error:
        reason = expat.ErrorString(error.code)
        raise UserError(f"{path}: line {error.lineno}: is no XML ({reason}). Fetch or make it again") from error
    except (LookupError, ValueError) as error:  # of an encoding that is not known, or not for XML
        raise UserError(f"{path}: is no XML ({error}). Fetch or make it again") from error
    if document.scale is None:
        raise UserError(f"{path}: has no <scale> among its <parameters>. Add the size of a voxel in nm")
    read = document.nodes.skeletons()
    return Skeletons(read.positions * document.scale, read.edges, read.ids)


class _Document:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.nodes = Nodes(path)
        self.scale: tuple[float, ...] | None = None
        self.tree = 0
        self.parser = expat.ParserCreate()
        self.parser.StartDoctypeDeclHandler = self.refuse
        self.parser.StartElementHandler = self.start

    def refuse(self, *_: object) -> None:
        raise UserError(f"{self.path}: line {self.parser.CurrentLineNumber}: has a document type (DOCTYPE), which is not read. "
                        "Remove it")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        place = f"line {self.parser.CurrentLineNumber}: <{tag}>"
        if tag == "thing":
            self.tree += 1
        elif tag == "scale":
            self.scale = self.read_scale(place, attributes)
        elif tag == "node":
            node = whole(self.path, place, "id", attributes.get("id"))
            self.nodes.add(place, self.tree, node, self.coordinates(place, attributes))
        elif tag == "edge":
            source, target = (whole(self.path, place, name, attributes.get(name)) for name in ("source", "target"))
            self.nodes.links.append((place, self.tree, source, target))

    def coordinates(self, place: str, attributes: dict[str, str]) -> tuple[float, ...]:
        return tuple(real(self.path, place, axis, attributes.get(axis)) for axis in "zyx")

    def read_scale(self, place: str, attributes: dict[str, str]) -> tuple[float, ...]:
        unit = attributes.get("unit", "nanometer")
        sizes = self.coordinates(place, attributes)
        if unit not in UNITS or min(sizes) <= 0:
            raise UserError(f"{self.path}: {place}: voxels of {sizes} {unit}. Name sizes above 0 in {', '.join(UNITS)}")
        return tuple(size * UNITS[unit] for size in sizes)
