"""The stages by name. Each takes the configuration and gives the line that its command prints."""

from collections.abc import Callable

from lsd_experiments.errors import UserError
from lsd_experiments.pipeline.settings import PipelineSettings

Stage = Callable[[PipelineSettings, bool], str]


def predict(config: PipelineSettings, overwrite: bool) -> str:
    """Affinities (and LSDs) of raw, by a trained network."""
    from lsd_experiments.prediction.blockwise import predict_blockwise
    from lsd_experiments.prediction.plan import PredictionSettings, make_plan

    if config.setup is None or config.raw_file is None:
        missing = "setup" if config.setup is None else "raw_file"
        raise UserError(f"the configuration has no '{missing}', which predict needs")
    plan = make_plan(PredictionSettings(
        setup=config.setup, raw_file=config.raw_file, raw_dataset=config.raw_dataset, out_file=config.out_file,
        iteration=config.iteration, **config.predict.model_dump()))
    new = predict_blockwise(plan, config.num_workers, overwrite)
    datasets = ", ".join(output.dataset for output in plan.outputs.values())
    return f"{config.out_file}: {datasets}{'' if new else ', predicted before'}"


def extract_fragments(config: PipelineSettings, overwrite: bool) -> str:
    """Fragments, and the nodes of the region graph."""
    from lsd_experiments.arrays import open_volume
    from lsd_experiments.fragments.blockwise import extract_fragments_blockwise
    from lsd_experiments.rag import RagStore

    container, dataset = config.fragments_place
    extract_fragments_blockwise(open_volume(*config.affs), container, config.db_path, config.fragments,
                                parity=config.parity, num_workers=config.num_workers, overwrite=overwrite)
    with RagStore(config.db_path) as store:
        return f"{container}: {dataset}, {store.count_nodes()} fragments"


def agglomerate(config: PipelineSettings, overwrite: bool) -> str:
    """The edges of the region graph, with their merge scores."""
    from lsd_experiments.agglomeration.blockwise import agglomerate_blockwise
    from lsd_experiments.arrays import open_volume
    from lsd_experiments.rag import RagStore

    merge_function = config.agglomerate.merge_function
    agglomerate_blockwise(open_volume(*config.affs), open_volume(*config.fragments_place), config.db_path,
                          config.agglomerate, num_workers=config.num_workers, overwrite=overwrite)
    with RagStore(config.db_path) as store:
        return f"{config.db_path}: edges_{merge_function}, {store.count_edges(merge_function)} edges"


def find_segments(config: PipelineSettings, overwrite: bool) -> str:
    """The look-up tables from fragments to segments, one per threshold."""
    from lsd_experiments.segmentation.blockwise import write_luts
    from lsd_experiments.segmentation.luts import lut_directory

    container, _ = config.fragments_place
    thresholds = write_luts(container, config.db_path, config.agglomerate.merge_function, config.find_segments,
                            parity=config.parity, overwrite=overwrite)
    return f"{lut_directory(container)}: {len(thresholds)} thresholds, {thresholds[0]:g} to {thresholds[-1]:g}"


def evaluate(config: PipelineSettings, overwrite: bool) -> str:
    """The scores of all thresholds against the ground truth: a table, JSON, CSV and a plot."""
    from lsd_experiments.pipeline.evaluating import evaluate_luts

    return evaluate_luts(config, overwrite)


def extract_segmentation(config: PipelineSettings, overwrite: bool) -> str:
    """The segmentation at one threshold."""
    from lsd_experiments.arrays import open_volume
    from lsd_experiments.pipeline.evaluating import best_threshold
    from lsd_experiments.segmentation.blockwise import extract_segmentation_blockwise

    threshold = best_threshold(config) if config.extract.threshold == "best" else config.extract.threshold
    fragments = open_volume(*config.fragments_place)
    dataset = extract_segmentation_blockwise(fragments, config.agglomerate.merge_function, threshold, config.extract,
                                             num_workers=config.num_workers, overwrite=overwrite)
    return f"{fragments.container}: {dataset}"


# in the order of a whole run
STAGES: dict[str, Stage] = {stage.__name__: stage for stage in (
    predict, extract_fragments, agglomerate, find_segments, evaluate, extract_segmentation)}
