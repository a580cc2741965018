"""Datasets: what an experiment's ``dataset.toml`` says, and what 01_data fetched."""

from lsd_experiments.datasets.dataset import FILE, Dataset, ValidationPart, datasets_below, find_dataset, load_dataset

__all__ = ["FILE", "Dataset", "ValidationPart", "datasets_below", "find_dataset", "load_dataset"]
