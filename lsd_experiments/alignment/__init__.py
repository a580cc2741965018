"""Alignment of the sections of a stack, and back: crooked stacks are made straight, and what was predicted there is brought back.

    align     raw, labels of the stack     --->  aligned volumes and ``alignment.json`` beside them
    undo      predictions of the aligned   --->  the stack's own voxels, its shape, resolution and offset

Each section has one map (:class:`~lsd_experiments.alignment.maps.SectionMap`) from its own pixels to aligned ones: cracks are
closed, and then an affine matrix is applied. Both can be undone exactly. ``alignment.json``
(:mod:`~lsd_experiments.alignment.record`) has all that is needed to go back: maps, removed and copied sections, cracks, shape,
resolution and offset of the stack.

Labels are brought over by nearest neighbour, raw, affinities and probabilities by linear interpolation. Sections that are their
own map keep every bit.
"""
