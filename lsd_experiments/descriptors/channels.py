"""The channels of the descriptors, and the strings that select some of them ("0129": offset and size)."""

from lsd_experiments.errors import UserError

# Channel -> (name, meaning). Every channel is clipped to [0, 1]. Offsets, variances and correlations are those of the
# object's voxels in the window, weighted with it, positions in nm; s_a is sigma along axis a.
COMPONENTS: dict[int, tuple[str, str]] = {
    0: ("offset z", "(centre of mass - own position) along z / s_z, times 0.5, plus 0.5"),
    1: ("offset y", "the same along y"),
    2: ("offset x", "the same along x"),
    3: ("variance zz", "variance of z, at least 1e-3 nm^2, / s_z^2"),
    4: ("variance yy", "variance of y, at least 1e-3 nm^2, / s_y^2"),
    5: ("variance xx", "variance of x, at least 1e-3 nm^2, / s_x^2"),
    6: ("correlation zy", "Pearson correlation of z and y, times 0.5, plus 0.5"),
    7: ("correlation zx", "the same of z and x"),
    8: ("correlation yx", "the same of y and x"),
    9: ("size", "fraction of the window that the object fills"),
}

# The six channels in two dimensions: channel -> the channel of COMPONENTS that it is.
COMPONENTS_2D: dict[int, int] = {0: 1, 1: 2, 2: 4, 3: 5, 4: 8, 5: 9}


def parse_components(components: str | None, dims: int) -> tuple[int, ...]:
    """The keys of :data:`COMPONENTS` that ``components`` selects for labels of ``dims`` axes; None selects all.

    ``components`` is a string of ascending digits, as the published code takes it: "0129", in two dimensions "0125".
    """
    known = list(COMPONENTS) if dims == 3 else list(COMPONENTS_2D.values())
    if components is None:
        return tuple(known)
    if not isinstance(components, str) or not components:
        raise UserError(f"components={components!r}: expected a string of channels such as '0129', or None for all")
    digits = [str(channel) for channel in range(len(known))]
    for character in components:
        if character not in digits:
            raise UserError(f"components={components!r}: {character!r} is no channel; "
                            f"in {dims}-D the channels are {digits[0]} to {digits[-1]}")
    ordered = "".join(sorted(set(components)))
    if components != ordered:
        raise UserError(f"components={components!r}: channels ascend without repetition; use '{ordered}'")
    return tuple(known[int(character)] for character in components)
