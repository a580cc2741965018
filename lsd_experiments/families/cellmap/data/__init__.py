"""The data of a training: images at any scale, samples turned at random, tiles that validate, weights of classes.

    samples = Samples(settings, "train")
    samples.batch(17).target                  # [n, c, z, y, x]: 0, 1, and NaN where nobody annotated
"""
