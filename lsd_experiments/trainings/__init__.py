"""Queues of trainings and what follows them, described in one TOML file: 02_train/trainings.py, docs/trainings.md."""
