"""From a labelled volume to an experiment: what is in the data, and by which rule each number follows from it.

    survey     what raw and labels hold: in all of a small volume, in blocks of a large one
    rules      numbers from voxel size and objects; docs/planning.md has them in words
    sizing     the network and its shapes, from the memory that is given
    plan       the two together, with the part that is kept for validation
    files      02_train/<name>/ and 03_predict/<name>.toml
"""
