"""Connected components of a mask: objects, numbered.

Two voxels are connected if they share a face (``connectivity`` 6), a face or an edge (18), or a corner, too (26). Components
are numbered 1, 2, ... in the order of their first voxels, x fastest, then y, then z; 0 is background. So the numbers depend
neither on the blocks nor on the number of workers, and are those of ``scipy.ndimage.label`` on the whole volume.

Blocks are labelled alone, each part by the number of its first voxel in the whole volume, plus 1; then the parts of neighbouring
blocks that touch are put together::

    mask  --->  label_blocks  --->  parts of each block  --->  join_blocks  --->  look-up table  --->  extract_components
"""
