"""Augmentation of training samples, where gunpowder's own nodes take more time than the network.

``ElasticAugment`` takes the parameters of gunpowder's, draws the same random numbers in the same order, and gives the same
arrays up to rounding; it never makes the transformation of the full resolution, but interpolates it voxel by voxel.
"""
