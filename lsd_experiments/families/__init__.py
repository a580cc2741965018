"""What belongs to one family of experiments only; the packages beside this one are the ground, which imports no family."""
