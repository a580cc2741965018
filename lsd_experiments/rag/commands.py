"""The commands ``03_predict/export_graph.py`` and ``03_predict/import_graph.py``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lsd_experiments import cli
from lsd_experiments.errors import UserError


def export_main(description: str | None, arguments: Sequence[str] | None = None) -> None:
    """Write a configuration's region graph as Parquet files."""
    parser = _parser(description)
    parser.add_argument("directory", metavar="OUT_DIRECTORY", type=Path, help="gets the files, replacing those of their names")
    cli.run(_export, parser, arguments)


def import_main(description: str | None, arguments: Sequence[str] | None = None) -> None:
    """Read Parquet files into a configuration's region graph."""
    parser = _parser(description)
    parser.add_argument("directory", metavar="DIRECTORY", type=Path, help="what export_graph.py wrote")
    parser.add_argument("--overwrite", action="store_true", help="replace the nodes and edges that are there")
    cli.run(_import, parser, arguments)


def _parser(description: str | None) -> argparse.ArgumentParser:
    parser = cli.parser(description)
    parser.add_argument("config", metavar="CONFIG", help="TOML file with the settings; see docs/segmentation.md")
    return parser


def _export(options: argparse.Namespace) -> None:
    from lsd_experiments.pipeline.configuration import load_pipeline
    from lsd_experiments.rag import open_store
    from lsd_experiments.rag.parquet import export_graph

    with open_store(load_pipeline(options.config).db_place, readonly=True) as store:
        for path in export_graph(store, options.directory):
            print(path)


def _import(options: argparse.Namespace) -> None:
    from lsd_experiments.pipeline.configuration import load_pipeline
    from lsd_experiments.pipeline.running import locked
    from lsd_experiments.rag import open_store
    from lsd_experiments.rag.nodes import NODES
    from lsd_experiments.rag.parquet import import_graph, read_provenances
    from lsd_experiments.stages.states import container_id

    config = load_pipeline(options.config)
    read_provenances(options.directory)  # before there is a database
    container, dataset = config.fragments_place
    with locked(config), open_store(config.db_place, create=True) as store:
        nodes, owner = store.stage(NODES), container_id(container, create=True)
        if nodes is not None and nodes[0].get("container", owner) != owner:
            raise UserError(f"{store.name} holds the region graph of another {nodes[0].get('fragments')} than {container}. Name "
                            "another 'db', or remove it yourself")
        facts = {"container": owner, "fragments": f"{Path(container).name}:{dataset}"}
        tables = import_graph(store, options.directory, options.overwrite, facts=facts)
        print(f"{store.name}: {', '.join(tables) if tables else 'all was there already'}")
