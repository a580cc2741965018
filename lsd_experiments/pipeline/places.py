"""Whether the places that a run writes to can be written, asked before its first stage."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lsd_experiments.pipeline.overview import Planned
from lsd_experiments.pipeline.settings import AnyPipeline, PipelineSettings
from lsd_experiments.rag import database_exists, is_url
from lsd_experiments.writing import check_writable

OF_DATABASE = {"extract_fragments", "agglomerate"}  # the stages that write to the region graph


def check_new_containers(config: AnyPipeline, names: Sequence[str]) -> None:
    """Before stages are planned, so that it is the container that is named, and not what would lie beside it.

    :raises OSError: if a container that the stages ``names`` make could not be
    """
    for container in (Path(config.containers[name]) for name in names if name in config.containers):
        if not container.exists():
            _check(container, container)


def check_places(config: AnyPipeline, stages: Sequence[Planned]) -> None:
    """Leaves nothing behind.

    :raises OSError: if what a stage has to do could not be written; it names the place as the configuration does
    :raises UserError: if the region graph's server cannot be reached, or scores have no place
    """
    names = {stage.name for stage in stages if stage.state.kind != "done"}
    for place, directory in _written(config, names):
        _check(place, directory)
    if isinstance(config, PipelineSettings) and names & {*OF_DATABASE, "find_segments"} and is_url(config.db_place):
        database_exists(config.db_place)
    if "evaluate" in names:
        from lsd_experiments.evaluation import check_prefix

        check_prefix(config.scores_prefix)


def _check(place: Path, directory: Path) -> None:
    try:
        check_writable(directory)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(place)) from error


def _written(config: AnyPipeline, names: set[str]) -> Iterator[tuple[Path, Path]]:
    """What the stages write, each with the directory that must be written for it."""
    for container in sorted({config.containers[name] for name in names if name in config.containers}):
        yield Path(container), Path(container)
    if not isinstance(config, PipelineSettings):
        return
    if names & OF_DATABASE and not is_url(config.db_place):
        yield Path(config.db_place), Path(config.db_place).parent
    if "evaluate" in names and config.evaluate is not None and config.evaluate.scores_db is not None:
        yield Path(config.evaluate.scores_db), Path(config.evaluate.scores_db).parent
