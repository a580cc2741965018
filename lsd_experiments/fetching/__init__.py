"""Fetching of the published volumes, weights and images: from a bucket (S3), from URLs, or from a directory laid out alike.

A target is a set of objects that is of use only as a whole: a zarr volume, the files of a checkpoint, an image. Its files are
fetched into a directory beside (``<volume>.partial``), in parallel, each one as ``<name>.<ETag>.part`` until its size and its
MD5 are those of the object, and get their place when all are there. ``.fetched.jsonl`` in the target's directory records
``path``, ``size`` and ``etag`` of each file, one JSON line per file, of which a path's last counts: a run that finds its sizes
on disk and its ETags in the bucket has nothing to do, and a run that was killed goes on from the bytes that it left. A
directory has no ETags: a file that was copied in part is copied anew. At URLs each file is a target of its own, its line has
its SHA-256, too, with which later runs compare it, and ``SHA256SUMS`` says the same to ``sha256sum``.

The commands are in ``command``.
"""
