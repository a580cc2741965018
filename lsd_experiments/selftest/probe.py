"""``python -m lsd_experiments.selftest.probe``: ask TensorFlow for its GPUs, and one of them for a matrix product.

Prints a line that begins with ``MARK``, and has JSON values of :class:`~lsd_experiments.selftest.gpu.Probe` behind it.
"""

import json
from typing import Any

MARK = "probe: "


def main() -> None:
    """Print what TensorFlow says."""
    found: dict[str, Any] = {}
    try:
        _ask(found)
    except Exception as error:  # whatever it is, it is why there is no usable GPU
        found["error"] = f"{type(error).__name__}: {error}"
    print(f"\n{MARK}{json.dumps(found)}", flush=True)


def _ask(found: dict[str, Any]) -> None:
    """Put what is found into ``found``, as far as it comes."""
    import numpy as np
    import tensorflow as tf

    found["cuda"] = bool(tf.test.is_built_with_cuda())
    gpus = tf.config.list_physical_devices("GPU")
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    found["gpus"] = [detail.get("device_name", gpu.name) for gpu, detail in zip(gpus, details, strict=True)]
    if not gpus:
        return
    tf.config.set_soft_device_placement(False)  # else the CPU would multiply
    a, b = np.random.default_rng(0).integers(0, 8, (2, 64, 64))  # sums of products are whole numbers in any precision
    with tf.device("/GPU:0"):
        product = tf.linalg.matmul(tf.constant(a, tf.float32), tf.constant(b, tf.float32))
    found["right"] = "GPU:0" in product.device and bool((product.numpy() == a @ b).all())


if __name__ == "__main__":
    main()
