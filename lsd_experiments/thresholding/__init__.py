"""Masks of classes: where a network's probabilities are above a threshold.

Probabilities are ``[c, z, y, x]`` or ``[z, y, x]``, uint8 0 to 255 or float in [0, 1]. A mask is uint8, 1 where a class is. Each
class has its own mask: a voxel may be of several.
"""
