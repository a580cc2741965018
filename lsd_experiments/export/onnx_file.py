"""A network and its weights as an ONNX file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import lsd_experiments
from lsd_experiments.errors import UserError
from lsd_experiments.export.graph import onnx_graph
from lsd_experiments.export.weights import Weights
from lsd_experiments.networks.network import Network

OPSET = 17  # of 2022; the operators used here have not changed since opset 14
IR_VERSION = 8  # the version of the file format that came with it
LIMIT = 2**31 - 2**20  # bytes of weights: a protobuf message, as which ONNX is written, ends at 2^31


def write_onnx(
    network: Network,
    weights: Weights,
    metadata: Mapping[str, str],
    path: Path,
    input_shape: Sequence[int] | None = None,
) -> None:
    """Write ``network`` with ``weights`` (of :func:`torch_weights`) and ``metadata`` to ``path``, and check the file.

    :param input_shape: as in :func:`onnx_graph`, whose errors are those of this function, too
    :raises UserError: if the weights are larger than ONNX can hold
    """
    import onnx
    from onnx import checker, helper

    size = sum(values.nbytes for values in weights.values())
    if size > LIMIT:
        raise UserError(f"the weights have {size / 2**30:.1f} GiB, an ONNX file at most 2. Export to PyTorch")
    model = helper.make_model(
        onnx_graph(network, weights, input_shape),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="lsd-experiments",
        producer_version=lsd_experiments.__version__,
        doc_string=_describe(network),
    )
    helper.set_model_props(model, dict(metadata))
    onnx.save(model, path)
    del model  # the checker reads the file: one copy of the weights is enough
    checker.check_model(path, full_check=True)


def _describe(network: Network) -> str:
    smallest, stride, context = network.smallest_input_shape, network.stride, network.context
    return (
        f"U-Net of Sheridan et al., Nature Methods 2023. Arrays are [n, c, z, y, x] float32. Input shapes (z, y, x) are "
        f"{smallest} plus multiples of {stride}; outputs are smaller by {context}, and lie in the middle."
    )
