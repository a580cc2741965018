"""Read Parquet files that export_graph.py wrote into the region graph of a configuration, SQLite or PostgreSQL.

    python import_graph.py CONFIG DIRECTORY [--overwrite]
"""

from lsd_experiments.rag.commands import import_main

if __name__ == "__main__":
    import_main(__doc__)
