"""The configuration of the pipeline: what one of each of the kinds in :data:`KINDS` has."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from lsd_experiments.agglomeration.settings import AgglomerateSettings
from lsd_experiments.arrays.hierarchy import ONLY
from lsd_experiments.blockwise.workers import WorkersConfig
from lsd_experiments.components.settings import ComponentsSettings
from lsd_experiments.conversion.settings import ExportSettings
from lsd_experiments.errors import UserError
from lsd_experiments.evaluation.deciding import OF_LABELS, OF_SKELETONS, check_metric
from lsd_experiments.fragments.settings import FragmentsSettings, PositiveSize, Size
from lsd_experiments.options import Which, renamed
from lsd_experiments.prediction.settings import PredictionSettings, PredictOptions
from lsd_experiments.segmentation.settings import ExtractSettings, FindSegmentsSettings
from lsd_experiments.settings import Settings
from lsd_experiments.thresholding.settings import ThresholdSettings

ROI = Size


class RegionSettings(Settings):
    """The part that is evaluated.

    :param roi_offset: (z, y, x) in nm where the part to evaluate begins (default: all that is labelled, or segmented)
    :param roi_shape: (z, y, x) in nm, its size
    """

    roi_offset: ROI | None = None
    roi_shape: PositiveSize | None = None

    @property
    def region(self) -> tuple[ROI, PositiveSize] | None:
        """Both, if not all is evaluated."""
        return (self.roi_offset, self.roi_shape) if self.roi_offset is not None and self.roi_shape is not None else None


class EvaluateSettings(RegionSettings):
    """The ground truth: labels, skeletons, or both.

    :param labels_file: container of the labels
    :param skeletons_file: file of skeletons, or directory of SWC files, see docs/evaluation.md
    :param skeletons_scale: nm per unit of the skeletons' positions
    :param best: the score that says which threshold is the best (default: ``xpress_erl_rand`` with skeletons, else ``voi_sum``)
    :param out_prefix: of the files that get the scores (default: ``<out_file without suffix>_<merge function>``)
    :param scores_db: SQLite file that gets the scores, too: a table over checkpoints, see docs/xpress.md
    """

    labels_file: str | None = None
    labels_dataset: str = "volumes/labels/neuron_ids"
    skeletons_file: str | None = None
    skeletons_scale: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1
    best: str | None = None
    out_prefix: str | None = None
    scores_db: str | None = None

    @property
    def metric(self) -> str:
        """The score that says which threshold is the best."""
        return self.best or ("voi_sum" if self.skeletons_file is None else "xpress_erl_rand")

    @model_validator(mode="after")
    def _fits(self) -> "EvaluateSettings":
        if self.labels_file is None and self.skeletons_file is None:
            raise ValueError("name a labels_file, a skeletons_file, or both")
        known = {**(OF_LABELS if self.labels_file else {}), **(OF_SKELETONS if self.skeletons_file else {})}
        try:
            check_metric(self.metric, known)
        except UserError as error:
            raise ValueError(str(error)) from error
        return self


class MasksEvaluateSettings(RegionSettings):
    """The ground truth of masks, or of components.

    :param labels_file: container of the labels, of components with one id for each; of classes: [c, z, y, x] in the classes'
        order, not 0 where a class is, or [z, y, x] with an id for each class
    :param label_ids: the ids of the classes in their order (default: of one class, all but 0; else 1, 2, ...)
    :param out_prefix: of the files that get the scores (default: ``<out_file without suffix>_<kind>``)
    """

    labels_file: str
    labels_dataset: str = "volumes/labels/classes"
    label_ids: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] | None = None
    out_prefix: str | None = None


class AnyPipeline(Settings):
    """What all kinds have.

    :param kind: what is made of a prediction: ``neurons``, ``classes`` or ``instances``
    :param out_file: zarr container that gets all volumes
    :param setup: directory of the trained network, like ``02_train/fib25/mtlsd``
    :param iteration: of the checkpoint to predict with, or ``best`` (default: the newest)
    :param workers: where workers run, and how many; the result does not depend on it
    :cvar stages: their names, in the order of a whole run
    """

    stages: ClassVar[tuple[str, ...]] = ()

    kind: str
    out_file: str
    setup: str | None = None
    iteration: Which | None = None
    raw_file: str | None = None
    raw_dataset: str = "volumes/raw"
    workers: WorkersConfig = WorkersConfig()
    predict: PredictOptions = PredictOptions()
    evaluate: Any = None
    export: ExportSettings | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_their_names(cls, values: Any) -> Any:
        """With the names of prediction's options, which may be spelt as on the command line."""
        return renamed(values, PredictionSettings) if isinstance(values, dict) else values

    @field_validator("predict", mode="before")
    @classmethod
    def _as_options(cls, values: Any) -> Any:
        return renamed(values, PredictOptions) if isinstance(values, dict) else values

    @property
    def containers(self) -> dict[str, str]:
        """The container that each stage writes to, of those that do."""
        return {**{stage: self.out_file for stage in self.stages if stage not in ("evaluate", "export")}, **self._exported}

    @property
    def _exported(self) -> dict[str, str]:
        return {} if self.export is None else {"export": str(self.export_directory)}

    @property
    def export_directory(self) -> Path:
        """What gets exported volumes."""
        given = self.export.directory if self.export is not None else None
        return Path(self.out_file).with_name(f"{Path(self.out_file).stem}_export") if given is None else Path(given)

    @property
    def results(self) -> dict[str, tuple[str, str | None, str]]:
        """What is made, by the names that [export] knows: container, dataset if that is known beforehand, and stage."""
        return {}

    @property
    def places(self) -> list[tuple[str, str]]:
        """Containers and datasets that may lie elsewhere than in ``out_file``."""
        return []

    @property
    def written(self) -> dict[str, str | None]:
        """The datasets that are written, by their keys; None for a default."""
        return {}

    @property
    def read(self) -> dict[str, tuple[str | None, str | None]]:
        """The volumes that are read, by the keys of their datasets."""
        evaluate = self.evaluate
        return {"raw_dataset": (self.raw_file, self.raw_dataset),
                "predict.lsds_dataset": (self.predict.lsds_file, self.predict.lsds_dataset),
                "evaluate.labels_dataset": (evaluate.labels_file, evaluate.labels_dataset) if evaluate else (None, None)}

    @property
    def scores_prefix(self) -> Path:
        """What the files with the scores begin with."""
        out = Path(self.out_file)
        given = self.evaluate.out_prefix if self.evaluate is not None else None
        return out.with_name(f"{out.stem}_{self._scored}") if given is None else Path(given)

    @property
    def _scored(self) -> str:
        return self.kind


class PipelineSettings(AnyPipeline):
    """Neurons.

    :param db: SQLite file of the region graph, or ``postgresql://...`` (default: ``LSD_DATABASE`` in the environment, or
        a file beside ``out_file``)
    :param parity: do as the published code does where that has known faults, see docs/segmentation.md
    """

    stages: ClassVar[tuple[str, ...]] = ("predict", "extract_fragments", "agglomerate", "find_segments", "evaluate",
                                         "extract_segmentation", "export")

    kind: Literal["neurons"] = "neurons"
    fragments: FragmentsSettings
    db: str | None = None
    parity: bool = False
    agglomerate: AgglomerateSettings = AgglomerateSettings()
    find_segments: FindSegmentsSettings = FindSegmentsSettings()
    extract: ExtractSettings = ExtractSettings()
    evaluate: EvaluateSettings | None = None

    @property
    def db_place(self) -> str:
        """The region graph's file, or its URL without a password."""
        return self.db or str(Path(self.out_file).with_suffix(".db"))

    @property
    def affs(self) -> tuple[str, str]:
        """Container and dataset of the affinities."""
        return self.fragments.affs_file or self.out_file, self.fragments.affs_dataset

    @property
    def fragments_place(self) -> tuple[str, str]:
        """Container and dataset of the fragments."""
        return self.fragments.fragments_file or self.out_file, self.fragments.fragments_dataset

    @property
    def containers(self) -> dict[str, str]:
        """The container that each stage writes to, of those that do; agglomerate writes to the region graph."""
        others = ("extract_fragments", "find_segments", "extract_segmentation")
        return {"predict": self.out_file, **dict.fromkeys(others, self.fragments_place[0]), **self._exported}

    @property
    def results(self) -> dict[str, tuple[str, str | None, str]]:
        """See :class:`AnyPipeline`."""
        return {"segmentation": (self.fragments_place[0], self.extract.out_dataset, "extract_segmentation"),
                "fragments": (*self.fragments_place, "extract_fragments"), "affinities": (*self.affs, "predict")}

    @property
    def written(self) -> dict[str, str | None]:
        """The datasets that are written, by their keys; None for a default."""
        return {"fragments.fragments_dataset": self.fragments.fragments_dataset, "extract.out_dataset": self.extract.out_dataset}

    @property
    def read(self) -> dict[str, tuple[str | None, str | None]]:
        """The volumes that are read, by the keys of their datasets."""
        mask = self.fragments.mask_file, self.fragments.mask_dataset or ONLY
        return {**super().read, "fragments.affs_dataset": self.affs, "fragments.mask_dataset": mask}

    @property
    def places(self) -> list[tuple[str, str]]:
        """Containers and datasets that may lie elsewhere than in ``out_file``."""
        return [self.affs, self.fragments_place]

    @property
    def _scored(self) -> str:
        return self.agglomerate.merge_function


class ClassesSettings(AnyPipeline):
    """Masks of classes, of which a voxel may have several."""

    stages: ClassVar[tuple[str, ...]] = ("predict", "threshold", "evaluate", "export")

    kind: Literal["classes"] = "classes"
    threshold: ThresholdSettings
    evaluate: MasksEvaluateSettings | None = None

    @property
    def results(self) -> dict[str, tuple[str, str | None, str]]:
        """See :class:`AnyPipeline`."""
        return {"masks": (self.out_file, self.threshold.out_dataset, "threshold")}

    @property
    def probabilities(self) -> tuple[str, str]:
        """Container and dataset of the probabilities."""
        return self.threshold.file or self.out_file, self.threshold.dataset

    @property
    def written(self) -> dict[str, str | None]:
        """The datasets that are written, by their keys."""
        return {"threshold.out_dataset": self.threshold.out_dataset}

    @property
    def read(self) -> dict[str, tuple[str | None, str | None]]:
        """The volumes that are read, by the keys of their datasets."""
        return {**super().read, "threshold.dataset": self.probabilities}

    @property
    def places(self) -> list[tuple[str, str]]:
        """Containers and datasets that may lie elsewhere than in ``out_file``."""
        return [self.probabilities]


class InstancesSettings(ClassesSettings):
    """The connected components of one class."""

    stages: ClassVar[tuple[str, ...]] = ("predict", "threshold", "label_blocks", "join_blocks", "extract_components", "evaluate",
                                         "export")

    kind: Literal["instances"] = "instances"  # type: ignore[assignment]
    components: ComponentsSettings = ComponentsSettings()

    @property
    def results(self) -> dict[str, tuple[str, str | None, str]]:
        """See :class:`AnyPipeline`."""
        return {"components": (self.out_file, self.components.out_dataset, "extract_components"), **super().results}

    @property
    def written(self) -> dict[str, str | None]:
        """The datasets that are written, by their keys."""
        return {**super().written, "components.parts_dataset": self.components.parts_dataset,
                "components.out_dataset": self.components.out_dataset}


KINDS: dict[str, type[AnyPipeline]] = {"neurons": PipelineSettings, "classes": ClassesSettings, "instances": InstancesSettings}
