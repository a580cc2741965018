"""The CellMap segmentation challenge: ``csc``, see docs/cellmap.md."""
