"""Whether this machine's processor computes with bfloat16, or has each product made of float32 ones."""

import logging
import re
from pathlib import Path

logger = logging.getLogger(__name__)

CPUINFO = Path("/proc/cpuinfo")
HAVE_IT = {"avx512_bf16", "amx_bf16", "bf16"}  # as Linux calls it; the last one on ARM


def has_bfloat16(cpuinfo: str) -> bool | None:
    """Whether the processor that ``/proc/cpuinfo`` tells of has it; None: it does not say."""
    listed = re.search(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, flags=re.MULTILINE)
    return None if listed is None else bool(HAVE_IT & set(listed[1].split()))


def warn_if_slow(precision: str) -> None:
    """Say so if ``bfloat16`` is asked of a processor without it, which takes longer than float32 there."""
    if precision != "bfloat16" or not CPUINFO.is_file() or has_bfloat16(CPUINFO.read_text()) is not False:
        return
    import keras

    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        if tf.config.list_physical_devices("GPU"):
            return
    logger.warning("bfloat16: this processor does not compute with it (it has neither AVX512_BF16 nor AMX), and is slower than "
                   "in float32. Leave the precision out")
