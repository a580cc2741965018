"""The XPRESS challenge: its baseline's checkpoints, sparse masks, regions, scores' command, submission, and a synthetic one."""
