"""The CREMI challenge: neurons, synaptic clefts and synaptic partners of *Drosophila*, in voxels of 40 x 4 x 4 nm.

Its ids, files (format 0.2), submissions and scores. Scores that serve others, too, are in :mod:`lsd_experiments.evaluation`.
"""
