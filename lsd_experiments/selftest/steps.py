"""What the self-test runs, as users do. In its directory there are then::

    volume.zarr         raw, labels and their mask
    synthetic/mtlsd/    a copy of the setup's scripts, with the checkpoint; beside it dataset.toml
    pipeline.toml       what 03_predict/run.py is to do
    prediction.zarr     affinities, LSDs, fragments and segmentation of all of the volume
    prediction.db       the region graph
    prediction_*        scores
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lsd_experiments.installation import ROOT
from lsd_experiments.scenario import copy_experiment
from lsd_experiments.selftest import checks

SETUP = "synthetic/mtlsd"
# Two blocks side by side in each stage.
CONFIG = f"""\
setup = "{SETUP}"
raw_file = "volume.zarr"
out_file = "prediction.zarr"
db = "prediction.db"

[workers]
num_workers = 1

[predict]
input_shape = [52, 124, 104]  # -> 32 x 84 x 64

[fragments]
fragments_in_xy = true
block_size = [640, 720, 576]
context = [160, 180, 180]

[agglomerate]
merge_function = "hist_quant_50"
context = [160, 180, 180]

[find_segments]
thresholds_step = 0.2

[evaluate]
labels_file = "volume.zarr"
out_prefix = "prediction_scores"

[extract]
threshold = "best"
out_dataset = "volumes/segmentation"
"""


@dataclass(frozen=True)
class Step:
    """A command, and what it is to make.

    :param words: a script and its arguments
    :param directory: where it runs, in the self-test's directory
    :param check: of that directory, and of what the script said: what was made; raises
        :class:`~lsd_experiments.selftest.checks.Missing`
    """

    words: tuple[str, ...]
    directory: str
    check: Callable[[Path, str], str]

    @property
    def name(self) -> str:
        """The script's."""
        return Path(self.words[0]).name

    @property
    def command(self) -> list[str]:
        """With the Python that runs this."""
        return [sys.executable, *self.words]


STEPS = (
    Step((str(ROOT / "01_data" / "make_synthetic.py"), "volume.zarr", "--shape", *map(str, checks.SHAPE)), ".",
         lambda work, said: checks.volume(work / "volume.zarr")),
    Step(("mknet.py",), SETUP, lambda work, said: checks.network(work / SETUP)),
    Step(("train.py", str(checks.ITERATIONS), "--data", "../../volume.zarr", "--input-shape", "32", "72", "72", "--seed", "0",
          "--num-fmaps", "2", "--fmap-inc-factor", "1", "--num-workers", "0"), SETUP,
         lambda work, said: checks.training(work / SETUP, said)),
    Step((str(ROOT / "03_predict" / "run.py"), "pipeline.toml"), ".",
         lambda work, said: checks.pipeline(work / "prediction.zarr", work / "prediction_scores.json")),
)  # fmt: skip


def prepare(work: Path) -> None:
    """Copy the setup's scripts, since it is written to and may be read-only where it is, and write the configuration."""
    copy_experiment(ROOT / "02_train" / SETUP, work / SETUP)
    (work / "pipeline.toml").write_text(CONFIG)
