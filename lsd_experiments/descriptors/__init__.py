"""Local shape descriptors (LSDs): what each voxel's own object looks like inside a Gaussian window around the voxel.

Data contract

- labels: [z, y, x] (or [y, x]) of any integer type; 0 is background, every other value is one object.
- sigma: standard deviation of the window in nm, one number or one per axis (z, y, x); the window ends at 3 sigma.
- lsds: [c, z, y, x] (or [c, y, x]) float32 in [0, 1], all zero in the background. Ten channels in three dimensions, six
  in two (:data:`COMPONENTS`). An object sees only its own voxels; what lies outside ``labels`` does not exist.

The descriptors are those of Sheridan et al., Nature Methods 2023 (gaussian mode), within 1e-4 of the published code
(``lsds``) wherever that code is well conditioned; docs/methods.md lists where the two differ. Nothing here starts a
thread. The first call in a process compiles for some seconds, or loads what an earlier process compiled.
"""

from lsd_experiments.descriptors.channels import COMPONENTS, COMPONENTS_2D
from lsd_experiments.descriptors.lsds import local_shape_descriptors

__all__ = ["COMPONENTS", "COMPONENTS_2D", "local_shape_descriptors"]
