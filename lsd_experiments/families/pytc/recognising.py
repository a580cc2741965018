"""Which network of PyTorch Connectomics weights are of, by the names and shapes of its tensors. Nothing here needs PyTorch."""

from collections.abc import Mapping
from typing import Any

Facts = dict[str, Any]


def describe(state: Mapping[str, Any]) -> Facts:
    """Architecture, channels, feature maps and norm; nothing if the tensors are of none of its networks."""
    shapes = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if "conv_in.0.weight" in shapes and "conv_out.0.weight" in shapes:
        return _unet(shapes)
    if "backbone.layer0.0.weight" in shapes or any(name.startswith("latlayers.") for name in shapes):
        return _pyramid(shapes)
    for name, first in (("unetr", "vit.patch_embedding.position_embeddings"), ("swinunetr", "swinViT.patch_embed.proj.weight")):
        if first in shapes and "out.conv.conv.weight" in shapes:
            inputs, (outputs, width) = shapes["encoder1.layer.conv1.conv.weight"][1], shapes["out.conv.conv.weight"][:2]
            return _facts(name, inputs, outputs, [width], _norm(shapes, "encoder1.layer.norm1"))
    if "fconv.0.1.weight" in shapes:
        filters = [shapes[f"layer{level}_E.0.projector.0.1.weight"][0] for level in range(1, 5)
                   if f"layer{level}_E.0.projector.0.1.weight" in shapes]
        return _facts("unetv0 (2019)", 1, shapes["fconv.0.1.weight"][0], filters, "bn")
    return {}


def _unet(shapes: Mapping[str, tuple[int, ...]]) -> Facts:
    first, last = shapes["conv_in.0.weight"], shapes["conv_out.0.weight"]
    filters, level = [], 0
    while f"down_layers.{level}.1.0.weight" in shapes:
        filters.append(shapes[f"down_layers.{level}.1.0.weight"][0])
        level += 1
    kind = "unet_2d" if len(first) == 4 else "unet_plus_3d" if "non_local.g.weight" in shapes else "unet_3d"
    squeezed = any(name.endswith(".fc.0.weight") for name in shapes)
    return _facts(f"{kind}, {'residual_se' if squeezed else 'residual'}", first[1], last[0], filters, _norm(shapes, "conv_in.1"))


def _pyramid(shapes: Mapping[str, tuple[int, ...]]) -> Facts:
    filters, stage = [], 0
    while f"latlayers.{stage}.0.weight" in shapes:
        filters.append(shapes[f"latlayers.{stage}.0.weight"][1])
        stage += 1
    kinds = {"repvgg": "rbr_", "efficientnet": "backbone.conv1", "resnet": "backbone.layer0.0"}
    kind = next((kind for kind, part in kinds.items() if any(part in name for name in shapes)), "another backbone")
    first = next((shape for name, shape in shapes.items() if name.startswith("backbone.") and len(shape) == 5), (0, 0))
    outputs = shapes.get("conv_out.0.weight", (0,))[0]
    return _facts(f"fpn_3d, {kind}", first[1], outputs, filters, _norm(shapes, "latlayers.0.1"))


def _norm(shapes: Mapping[str, tuple[int, ...]], name: str) -> str:
    if f"{name}.running_mean" in shapes:
        return "bn or sync_bn"
    return "gn" if f"{name}.weight" in shapes else "in or none"


def _facts(architecture: str, inputs: int, outputs: int, filters: list[int], norm: str) -> Facts:
    def channels(number: int) -> str:
        return f"{number} channel{'' if number == 1 else 's'}"

    return {"network": architecture, "input": channels(inputs), "output": channels(outputs),
            "feature maps": ", ".join(map(str, filters)), "norm": norm}
