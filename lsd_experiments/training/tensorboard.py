"""TensorBoard's files, written without TensorFlow: scalars, and one section of each array of a snapshot."""

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lsd_experiments import frameworks


class Log:
    """Writes scalars and images to ``directory``, which is made with the first of them."""

    def __init__(self, directory: str | Path) -> None:
        self.directory = directory
        self.writer: Any = None

    def scalars(self, iteration: int, values: Mapping[str, float]) -> None:
        """One point of each curve."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._add(iteration, [Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()])

    def images(self, iteration: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """The middle section of each array ([z, y, x] or [c, z, y, x]): the first three channels as red, green and blue."""
        self.pictures(iteration, {tag: middle_section(array) for tag, array in arrays.items()})

    def pictures(self, iteration: int, pictures: Mapping[str, NDArray[np.uint8]]) -> None:
        """Pictures, [y, x, 3] each: red, green and blue."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = []
        for tag, picture in pictures.items():
            image = Summary.Image(
                height=picture.shape[0], width=picture.shape[1], colorspace=3, encoded_image_string=_png(picture)
            )
            values.append(Summary.Value(tag=tag, image=image))
        self._add(iteration, values)

    def texts(self, texts: Mapping[str, str]) -> None:
        """Texts in Markdown."""
        from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto

        metadata = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        shape = TensorShapeProto(dim=[TensorShapeProto.Dim(size=1)])
        values = [Summary.Value(tag=f"{tag}/text_summary", metadata=metadata,
                                tensor=TensorProto(dtype="DT_STRING", string_val=[text.encode()], tensor_shape=shape))
                  for tag, text in texts.items()]
        self._add(0, values)

    def close(self) -> None:
        """Write what is not written yet."""
        if self.writer is not None:
            self.writer.close()

    def _add(self, iteration: int, values: list[Any]) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.compat.proto.summary_pb2 import Summary

        if self.writer is None:
            with frameworks.hidden("tensorflow"):  # a backend other than TensorFlow does without it
                from tensorboard.summary.writer.event_file_writer import EventFileWriter

                self.writer = EventFileWriter(str(self.directory))
        self.writer.add_event(Event(wall_time=time.time(), step=iteration, summary=Summary(value=values)))


def middle_section(array: NDArray[Any]) -> NDArray[np.uint8]:
    """The middle section as [y, x, 3]: ids as colours, values from 0 (or the least) to 1 (or the greatest) as brightness."""
    section = array[..., array.shape[-3] // 2, :, :]
    if section.dtype.kind in "ui" and section.max(initial=0) > 1:
        return _colours(section)
    if section.ndim == 2:
        section = section[None]
    if len(section) < 3:
        section = np.repeat(section[:1], 3, axis=0)
    section = np.nan_to_num(section)
    low, high = min(0.0, float(section.min())), float(section.max())
    if low == 0 and 0.1 < high <= 1:
        high = 1.0
    pixels: NDArray[np.uint8] = np.moveaxis((section[:3] - low) / ((high - low) or 1) * 255, 0, -1).astype(np.uint8)
    return pixels


def _colours(ids: NDArray[Any]) -> NDArray[np.uint8]:
    """A colour for each id, black for 0."""
    mixed = ids.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    channels = [(mixed >> np.uint64(shift)).astype(np.uint8) | 0x30 for shift in (56, 48, 40)]
    return np.where((ids > 0)[..., None], np.stack(channels, axis=-1), 0).astype(np.uint8)


def _png(image: NDArray[np.uint8]) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="png")
    return stream.getvalue()
