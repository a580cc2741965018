"""The description of a network that is a ``torch.nn.Module`` of the user's: where its code is, and its shapes.

The module takes one tensor [b, c, z, y, x] per input, in their order: raw in [-1, 1], LSDs in [0, 1]. It gives a tensor, or one
per head as a tuple or by name, [b, c, z, y, x] in [0, 1], whose shape is smaller than the input's by a constant context (0 where
convolutions are padded). Nothing here needs PyTorch but :func:`probe`, which lets the module run on shapes without data.
"""

import dataclasses
import hashlib
import importlib.util
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsd_experiments.errors import UserError, nearest
from lsd_experiments.geometry import Nanometres
from lsd_experiments.networks.network import Head, Input, check_arrays
from lsd_experiments.networks.shapes import LegalShapes, Shape, as_shape

INSTALL = "pip install torch==2.13.0"
ITERATION = "{iteration}"  # in the pattern of weights' names
PROBED = 64  # voxels within which the stride is looked for
SHAPES = ("context", "stride", "smallest_input_shape")


@dataclass(frozen=True)
class TorchNetwork(LegalShapes):
    """A PyTorch module, of the user's own code in the setup directory.

    ``module``: ``<file>:<function or class>`` in that directory; called without arguments, it gives the module. ``weights``: the
    name of the files of weights, with ``{iteration}`` for the number. ``voxel_size``: (z, y, x) in nm of what it was trained on,
    if its dataset does not say so. ``context``, ``stride`` (between legal sizes), ``smallest_input_shape``: (z, y, x) in voxels;
    ``num_fmaps``: feature maps at full resolution; ``parameters``: weights and biases. Where one of the shapes is not stated,
    all five are probed.
    """

    module: str
    heads: tuple[Head, ...]
    inputs: tuple[Input, ...] = (Input(),)
    weights: str = f"train_net_checkpoint_{ITERATION}.pth"
    voxel_size: Nanometres | None = None
    context: Shape = (-1, -1, -1)
    stride: Shape = (0, 0, 0)
    smallest_input_shape: Shape = (0, 0, 0)
    num_fmaps: int = 32
    parameters: int = 0

    def __post_init__(self) -> None:
        check_arrays(self.heads, self.inputs)
        if not re.fullmatch(r"[\w-]+\.py:[A-Za-z_]\w*", self.module):
            raise UserError(f"module '{self.module}': is not <file>.py:<function>, of a file in the setup directory")
        if self.weights.count(ITERATION) != 1 or Path(self.weights).name != self.weights:
            raise UserError(f"weights '{self.weights}': is not the name of a file with {ITERATION} in it")

    @property
    def stated(self) -> bool:
        """Whether nothing is left to be probed."""
        return min(*self.context, *(size - 1 for size in (*self.stride, *self.smallest_input_shape))) >= 0

    def with_shapes(self, directory: str | Path, input_shape: Sequence[int]) -> "TorchNetwork":
        """With all shapes; what is not stated is probed from the legal ``input_shape``.

        :raises UserError: if the module cannot be made, or does not fit this description
        """
        return self if self.stated else probe(self, load_module(self.module, directory), input_shape)

    def fingerprint(self, directory: str | Path) -> str:
        """The hash of the module's code, as far as its file goes."""
        file = Path(directory, self.module.partition(":")[0])
        return hashlib.sha256(file.read_bytes() + self.module.encode()).hexdigest()

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "TorchNetwork":
        """From what was written to a file, by a user perhaps; an unknown key is a ValueError."""
        known = [field.name for field in dataclasses.fields(cls)]
        for key in values:
            if key not in known:
                raise ValueError(f"unknown key '{key}'{nearest(key, known)}")
        given: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        given["heads"] = tuple(Head(**head) for head in values["heads"])
        if "inputs" in values:
            given["inputs"] = tuple(Input(**source) for source in values["inputs"])
        for key in SHAPES:
            if key in given and (len(given[key]) != 3 or not all(isinstance(size, int) for size in given[key])):
                raise ValueError(f"{key} is {values[key]}, not three whole numbers")
        return cls(**given)


def require_torch() -> Any:
    """PyTorch.

    :raises UserError: if it is not installed
    """
    try:
        import torch
    except ImportError as error:
        raise UserError(f"the network is a PyTorch module, but PyTorch is not installed. In the repository: {INSTALL}") from error
    return torch


def load_module(module: str, directory: str | Path) -> Any:
    """The ``torch.nn.Module`` that ``<file>:<function>`` in ``directory`` gives. It is the user's code, and runs as such.

    :raises UserError: if there is no such file or function, it imports what is not installed, or gives something else
    """
    torch = require_torch()
    name, _, function = module.partition(":")
    path = Path(directory).resolve() / name
    try:
        made = _factory(path, function)()
    except ImportError as error:  # by what the user's file imports, when it is read or when it is called
        missing = error.name if isinstance(error, ModuleNotFoundError) else f"a name ({error})"
        remedy = "Install the package that has it, or correct the import"
        raise UserError(f"{path}: imports {missing}, which is not there. {remedy}") from error
    if not isinstance(made, torch.nn.Module):
        raise UserError(f"{Path(directory, name)}: {function}() gives a {type(made).__name__}, not a torch.nn.Module")
    return made.eval()


def _factory(path: Path, function: str) -> Callable[[], Any]:
    if not path.is_file():
        raise UserError(f"{path}: no such file, which config.json names as the network's. Write it, or name another one")
    name = f"network_of_{hashlib.sha256(str(path).encode()).hexdigest()[:16]}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    code = importlib.util.module_from_spec(spec)
    sys.modules[name] = code  # classes look themselves up there
    sys.path.insert(0, str(path.parent))  # for modules beside it
    try:
        spec.loader.exec_module(code)
    except SyntaxError as error:
        raise UserError(f"{path}: is not Python ({error})") from error
    finally:
        sys.path.remove(str(path.parent))
    if not callable(getattr(code, function, None)):
        raise UserError(f"{path}: has no function '{function}', which config.json names. Define it, or name another one")
    factory: Callable[[], Any] = getattr(code, function)
    return factory


def probe(network: TorchNetwork, module: Any, input_shape: Sequence[int]) -> TorchNetwork:
    """``network`` with what is not stated: how ``module`` maps shapes, found on tensors that have no data.

    :raises UserError: if it does not run so, or gives other heads than the description says
    """
    torch = require_torch()
    module = module.to("meta")
    widest = [0]
    hooks = [one.register_forward_hook(lambda _, __, output: widest.append(_numel(output))) for one in module.modules()]

    def run(shape: Sequence[int]) -> Shape:
        inputs = [torch.empty((1, source.channels, *shape), device="meta") for source in network.inputs]
        with torch.inference_mode():
            return _output_shape(network, module(*inputs))

    first = _first_run(network, run, input_shape)
    for hook in hooks:
        hook.remove()
    given = tuple(input_shape)
    context = as_shape([i - o for i, o in zip(given, first, strict=True)])
    if min(network.context) >= 0 and context != network.context:
        raise UserError(f"{network.module}: gives {first} of {given}, so that its context is {context}, not {network.context}")
    if min(context) < 0:
        raise UserError(f"{network.module}: gives {first} of {given}; outputs must not be larger than inputs")

    def legal(axis: int, size: int) -> bool:
        shape = [size if a == axis else s for a, s in enumerate(given)]
        try:
            return size > context[axis] and run(shape) == tuple(s - c for s, c in zip(shape, context, strict=True))
        except Exception:  # foreign code: whatever a module says of a size that it does not take
            return False

    stride = network.stride if min(network.stride) > 0 else as_shape([_stride(network, legal, a, given[a]) for a in range(3)])
    return dataclasses.replace(
        network,
        context=context,
        stride=stride,
        smallest_input_shape=as_shape([_smallest(legal, axis, given[axis], stride[axis]) for axis in range(3)]),
        num_fmaps=-(-max(widest) // (given[0] * given[1] * given[2])),
        parameters=sum(parameter.numel() for parameter in module.parameters()),
    )


def as_heads(network: TorchNetwork, outputs: Any) -> dict[str, Any]:
    """What a module gave, by head.

    :raises UserError: if that is not what the description says
    """
    if not isinstance(outputs, Mapping):
        several = outputs if isinstance(outputs, list | tuple) else [outputs]
        outputs = dict(zip([head.name for head in network.heads], several, strict=False)) if len(several) == len(
            network.heads) else dict(enumerate(several))
    shapes = {name: tuple(getattr(output, "shape", ())) for name, output in outputs.items()}
    fits = shapes.keys() >= {head.name for head in network.heads} and all(
        len(shapes[head.name]) == 5 and shapes[head.name][1] == head.channels for head in network.heads)
    if not fits:
        expected = ", ".join(f"{head.name} [b, {head.channels}, z, y, x]" for head in network.heads)
        found = ", ".join(f"{name} {list(shape)}" for name, shape in shapes.items())
        raise UserError(f"{network.module}: gives {found or 'nothing'}, but config.json says {expected}")
    return {head.name: outputs[head.name] for head in network.heads}


def _first_run(network: TorchNetwork, run: Callable[[Sequence[int]], Shape], input_shape: Sequence[int]) -> Shape:
    try:
        return run(input_shape)
    except UserError:
        raise
    except Exception as error:  # foreign code
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{network.module}: does not take {tuple(input_shape)} ({type(error).__name__}: {reason}). Name another input "
            f"shape, or state {', '.join(SHAPES)} in config.json"
        ) from error


def _output_shape(network: TorchNetwork, outputs: Any) -> Shape:
    shapes = {tuple(output.shape[2:]) for output in as_heads(network, outputs).values()}
    if len(shapes) > 1:
        raise UserError(f"{network.module}: its heads are of different shapes, {', '.join(map(str, sorted(shapes)))}")
    return as_shape(shapes.pop())


def _stride(network: TorchNetwork, legal: Callable[[int, int], bool], axis: int, size: int) -> int:
    found = next((step for step in range(1, PROBED + 1) if legal(axis, size + step)), None)
    if found is None:
        raise UserError(f"{network.module}: takes no size along {'zyx'[axis]} just above {size}. State stride in config.json")
    return found


def _smallest(legal: Callable[[int, int], bool], axis: int, size: int, stride: int) -> int:
    """The smallest legal size that is a multiple of ``stride`` below ``size``, all sizes between being legal, too."""
    low, high = 0, (size - 1) // stride  # steps down that are legal, and that might be
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if legal(axis, size - middle * stride) else (low, middle - 1)
    return size - low * stride


def _numel(output: Any) -> int:
    return int(output.numel()) if hasattr(output, "numel") else 0
