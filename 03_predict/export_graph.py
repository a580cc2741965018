"""Write the region graph as Parquet files: nodes.parquet, and one edges_<merge function>.parquet per merge function.

    python export_graph.py CONFIG OUT_DIRECTORY
"""

from lsd_experiments.rag.commands import export_main

if __name__ == "__main__":
    export_main(__doc__)
