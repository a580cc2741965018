"""Stages as data: what goes in, what comes out, and what is done to a block, or to the whole.

A :class:`Stage` has a name, parameters, inputs and outputs, from which its provenance follows, and either a
:class:`~lsd_experiments.blockwise.BlockTask`, which workers do, or a function of this process::

    inputs, parameters  --->  provenance, with its key
                                   |
    outputs   VolumeArtifact       |    an array on disk, written block by block
              TableArtifact        +--- tables of the region graph, written block by block
              FilesArtifact             files that are written as a whole

An artifact knows what there is of it: nothing, a part, all, or something made otherwise. So a rerun does nothing, goes on, or
makes it anew, and the parts that a stage is made of are never looked at twice in different ways.
"""

from lsd_experiments.stages.artifact import Artifact
from lsd_experiments.stages.files import FilesArtifact
from lsd_experiments.stages.stage import Show, Stage
from lsd_experiments.stages.tables import TableArtifact
from lsd_experiments.stages.volumes import VolumeArtifact

__all__ = ["Artifact", "FilesArtifact", "Show", "Stage", "TableArtifact", "VolumeArtifact"]
