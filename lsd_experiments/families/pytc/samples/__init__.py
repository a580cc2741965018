"""Samples of training: read, turned, deformed and spoiled at random, with their targets and weights.

    sampler = Sampler(sources, augmentor, targets=("2",), weights=(("1", "0"),), erosion=1, seed=0)
    sampler.sample(iteration=7, slot=0).image                      # [1, z, y, x] float32

A sample is a function of the seed, the iteration, and the slot in the iteration's whole batch, and of nothing else: ranks and
workers divide the slots among them, so that their samples differ, and a training that was resumed, or one with other numbers of
workers or processes, sees what an uninterrupted one would.
"""

from lsd_experiments.families.pytc.samples.augmentor import Augmentor
from lsd_experiments.families.pytc.samples.sampler import Sample, Sampler
from lsd_experiments.families.pytc.samples.sources import Source, open_sources

__all__ = ["Augmentor", "Sample", "Sampler", "Source", "open_sources"]
