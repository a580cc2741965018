"""Whether a GPU is seen, and whether it is usable, which are two questions.

Seen: NVIDIA's driver is there. Usable: TensorFlow lists a GPU, and gets the right numbers from it. TensorFlow is asked in a
process of its own (:mod:`~lsd_experiments.selftest.probe`), and only if a GPU is seen: it takes seconds to import, writes its
reasons to the error stream, and may end the process. The rest here are functions of what was found.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lsd_experiments.installation import image
from lsd_experiments.scenario import environment
from lsd_experiments.selftest.probe import MARK
from lsd_experiments.selftest.running import Runner

CONTROL = Path("/dev/nvidiactl")
# What TensorFlow writes before a message: "E0000 00:00:1795282230.330596    9392 port.cc:153] ", or a date and a level.
PREFIX = re.compile(r"^(?:[EWIF]\d{4} \S+\s+\d+ |\d{4}-\d\d-\d\d [\d:.]+: [EWIF] )\S+:\d+\] ")
# Words of the messages that say why there is no GPU, the most telling first.
TELLING = ("does not match DSO", "Could not find cuda drivers", "cuInit", "CUDA_ERROR", "CUDA error",
           "Could not load dynamic library", "dlopen")
LONGEST = 300  # letters of a reason
LIMIT = 180.0  # seconds for the answer: for GPUs that are newer than TensorFlow, kernels are compiled


@dataclass(frozen=True)
class Probe:
    """What TensorFlow found.

    ``cuda``: whether it is a build with CUDA. ``gpus``: names of the GPUs that it lists. ``right``: whether a matrix product
    on the first one is right. ``error``: why there is no answer, or none to the question before. ``log``: its error stream.
    """

    cuda: bool = False
    gpus: tuple[str, ...] = ()
    right: bool = False
    error: str | None = None
    log: str = ""


def describe_gpu(runner: Runner) -> str:
    """The line that says whether a GPU is seen, and usable."""
    names = seen()
    if names is None:
        return gpu_line(None, None)
    return gpu_line(names, probe(runner), image() is not None, os.environ.get("CUDA_VISIBLE_DEVICES"))


def gpu_line(names: Sequence[str] | None, found: Probe | None, in_image: bool = False, visible: str | None = None) -> str:
    """What the line says.

    :param names: of the GPUs that the driver lists; None if there is no driver
    :param found: what TensorFlow says, if it was asked
    :param in_image: whether this is a container image
    :param visible: the value of ``CUDA_VISIBLE_DEVICES``
    """
    if names is None or found is None:
        return ("GPU: none is seen. To use one in a container, start it with --nv on a machine that has one; elsewhere, install "
                "NVIDIA's driver")
    driver = f"GPU: seen ({', '.join(names)})" if names else "GPU: seen"
    if found.gpus and found.right:
        return f"{driver} and usable: {found.gpus[0]}"
    if not found.cuda and found.error is None:
        remedy = ("Build the image without --cpu" if in_image else
                  "Run ./setup.sh install again: where nvidia-smi lists a GPU, it takes the build with CUDA")
        return f"{driver}, but not usable: this is the CPU build of TensorFlow. {remedy}"
    return f"{driver}, but TensorFlow cannot use it: {reason(found, visible)}"


def reason(found: Probe, visible: str | None = None) -> str:
    """Why a build of TensorFlow with CUDA uses no GPU, in one line."""
    if found.gpus:
        return _one_line(found.error or f"a matrix product on {found.gpus[0]} gives wrong numbers")
    if visible is not None and not re.match(r"[0-9GM]", visible):
        return f"CUDA_VISIBLE_DEVICES={visible} hides all GPUs. Unset it"
    told = [PREFIX.sub("", line.strip()) for line in found.log.splitlines()]
    for word in TELLING:
        for line in told:
            if word in line:
                return _one_line(line)
    return _one_line(found.error or "it lists none, and does not say why")


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[:LONGEST - 3]}..."


def seen() -> list[str] | None:
    """The names of the GPUs that the driver lists; None if there is no driver."""
    names = gpu_names(_nvidia_smi())
    return names if names or CONTROL.exists() else None


def gpu_names(listing: str) -> list[str]:
    """The names in what ``nvidia-smi -L`` prints: ``GPU 0: NVIDIA H100 (UUID: GPU-...)``, a line each."""
    return [match[1].strip() for match in re.finditer(r"^GPU \d+: (.*?)(?: \(UUID: .*)?$", listing, re.MULTILINE)]


def _nvidia_smi() -> str:
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    try:
        return subprocess.run([program, "-L"], capture_output=True, text=True, errors="replace", timeout=30, check=False).stdout
    except (OSError, subprocess.SubprocessError):
        return ""


def probe(runner: Runner) -> Probe:
    """What TensorFlow finds."""
    # Reads a GPU's state, and leaves nothing: no cache of compiled kernels, and no more memory than the product takes.
    more = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "CUDA_CACHE_DISABLE": "1", "TF_CPP_MIN_LOG_LEVEL": "0",
            "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-P", "-m", "lsd_experiments.selftest.probe"]
    ended = runner.run(command, Path("/"), environment(**more), limit=LIMIT)
    return read_probe(ended.said, ended.problem)


def read_probe(said: str, problem: str | None) -> Probe:
    """What the process of :mod:`~lsd_experiments.selftest.probe` found, as it ``said``.

    ``problem``: how it ended, if not well.
    """
    answer = re.search(rf"^{MARK}(.*)$", said, re.MULTILINE)
    if answer is None or problem:
        return Probe(error=f"the process that asks TensorFlow {problem or 'gave no answer'}", log=said)
    values = json.loads(answer[1])
    return Probe(**{**values, "gpus": tuple(values.get("gpus", ()))}, log=said)
