"""Predict a volume in this process; writes test_prediction.zarr.

    python predict_scan.py
"""

from lsd_experiments.prediction.command import scan_main

if __name__ == "__main__":
    scan_main()
