"""What each option and key names. One that is new stands in none of these, and fails until it does.

``READ``, in cases.py, has those that name a container, or a dataset of one, to read from.
"""

SEGMENT = "lsd_experiments.families.lsd.segment"
CSC = "lsd_experiments.families.cellmap"

# What is written to: no crop, and no "-", which names what is there. test_places.py tries each.
WRITTEN = {
    ("add_labels_mask.py", "fpath"), ("add_unlabeled_mask.py", "fpath"), ("add_unlabeled_mask.py", "output_ds_label"),
    ("convert.py", "output"), ("convert.py", "output_dataset"),
    ("create_masks.py", "mask_dataset"), ("create_masks.py", "unlabeled_dataset"), ("create_masks.py", "output"),
    ("make_synthetic.py", "out"), ("segment.py", "out"),
    "out_file", "fragments.fragments_file", "fragments.fragments_dataset", "extract.out_dataset",
}  # fmt: skip

# Files of other kinds than containers: a name alone stands for every command that has it.
OTHER_FILES = {
    # configurations, whose keys stand for themselves
    *((name, option) for name in ("train.py", "test.py") for option in ("train", "img_name", "output", "pre_model", "pairs")),
    ("train.py", "seg_name"),  # these stand for keys of
    "config", ("main.py", "config_base"), ("main.py", "config_file"), ("main.py", "pairs"), ("evaluate_skeletons.py", "graph"),
    # checkpoints, setups and images
    "setup", "lsds_setup", "predict.lsds_setup", ("export_checkpoint.py", "source"), ("inspect_checkpoint.py", "path"),
    ("import_checkpoint.py", "setup"), ("import_checkpoint.py", "file"), ("download_images.py", "image"),
    ("trainings.py", "queue"), ("trainings.py", "out"), ("new.py", "experiment"), ("new.py", "like"), ("plan.py", "name"),
    (SEGMENT, "name"),
    # skeletons
    ("evaluate_skeletons.py", "skeletons"), ("evaluate_skeletons.py", "skeleton_file"), ("view_data.py", "graphs"),
    "evaluate.skeletons_file",
    # results, directories and databases
    "db", ("export_checkpoint.py", "out"), ("evaluate_skeletons.py", "out"), ("evaluate_volumes.py", "out"),
    ("evaluate_lsds.py", "out"),
    ("picture.py", "out"), ("submission.py", "make out"), ("scores.py", "add scores"), ("scores.py", "add db"),
    ("scores.py", "show db"), ("scores.py", "show csv"),
    ("report.py", "results"), ("report.py", "validation"), ("report.py", "out"),
    ("export_graph.py", "directory"), ("import_graph.py", "directory"), ("train.py", "log_dir"),
    ("align.py", "picture"), ("evaluate.py", "out"), ("evaluate.py", "threshold_of"), ("partners.py", "out"),
    ("segment.py", "scores"),
    "dest", "evaluate.out_prefix", "evaluate.scores_db", "export.directory",
    # of csc: patterns of where datasets lie, tables, results, pictures, and weights
    "search_path", "raw_name", "crop_name", "manifest", "crop_manifest", "csv_path", "input_path", "output_path",
    "input_search_path", "predictions_path", "processed_path", "submission_path", "truth_path", "result_file", "pictures",
    (CSC, "batch-eval results"), (CSC, "train export"), (CSC, "validate submission"),
    # a submission as it is sent
    ("submission.py", "check submission"), ("evaluate_skeletons.py", "check_submission"),
}  # fmt: skip

# Neither a container nor a dataset in one: numbers, ids, regions, names, switches.
NO_PLACE = {
    "help", "debug", "overwrite", "dry_run", "num_workers", "first", "force", "all", "json", "print", "only", "zip", "jobs",
    "exclude", "exclude_labels", "keep_labels", "include_zero", "unlabeled", "downsample", "downsampling", "transpose", "dtype",
    "range", "channel", "voxel_size", "raw_range", "roi_offset", "roi_shape", "input_shape", "precision", "seamless", "pad",
    "patch_step", "blend", "flips", "transposes", "resample", "nearest", "validate_every", "validate_segmentation",
    "minutes", "average_weights", "warm_up", "decay", "plain_weights", ("evaluate_lsds.py", "sigma"),
    "checkpoint", "iteration", "lsds_checkpoint", "lsds_on_the_fly", "num_fmaps", "fmap_inc_factor", "malis_from", "parity",
    "batch_size", "devices", "iterations", "save_every", "snapshot_every", "seed", "learning_rate", "kind", "shape", "density",
    "offset", "labeled", "scale", "mode", "mincut", "print_errors", "in_xyz", "show_all_scores", "section", "title", "format",
    "bind_address", "port", "no_browser", "endpoint_url", "mirror", "volume", "variant", "network", "truth", "by", "top",
    "one_per_checkpoint", "versions", "block_size", "context", "fragments_in_xy", "epsilon_agglomerate", "filter_fragments",
    "replace_sections", "min_seed_distance", "foreground_threshold", "lsds_iteration", "merge_function", "thresholds_minmax",
    "thresholds_step", "threshold", "skeletons_scale", "best", "memory", "labels_offset", "no_picture", (SEGMENT, "minutes"),
    "level", "levels", "reduce", "encoding", "shard", "link", "page", ("trainings.py", "status"), ("trainings.py", "parallel"),
    ("align.py", "undo"), ("align.py", "model"), ("align.py", "missing"), ("align.py", "keep_cracks"),
    ("align.py", "interpolation"), ("align.py", "fill"),
    ("evaluate.py", "task"), ("evaluate.py", "border_threshold"), ("evaluate.py", "background"),
    ("evaluate.py", "truth_background"), ("evaluate.py", "ignore_alignment"),
    ("evaluate.py", "tolerance"), ("evaluate.py", "curve"), ("submission.py", "make task"),
    ("submission.py", "make background"), ("partners.py", "reach"), ("partners.py", "share"), ("fetch_cremi.py", "sample"),
    ("fetch_cremi.py", "padded"), ("fetch_cremi.py", "source"), ("fetch_snemi3d.py", "test_labels"),
    ("make_synthetic.py", "defects"),
    ("segment.py", "channels"),
    ("segment.py", "fragments"), ("segment.py", "aff_threshold"), ("segment.py", "gt_border"), ("segment.py", "thresholds"),
    ("main.py", "inference"), ("main.py", "local_rank"), ("main.py", "allow_partial"), ("main.py", "distributed"),
    *((name, option) for name in ("train.py", "test.py") for option in (
        "model_input", "architecture", "load_model", "num_gpu", "num_cpu", "task")),
    *(("train.py", option) for option in ("lr", "loss", "finetune", "iteration_total", "iteration_save")),
    # of csc
    "classes", "use_s3", "validate_ratio", "datasets", "crops", "skip_orthoplanes", "values", "overlap", "blending",
    "max_workers", "kinds", "raw_padding", "all_resolutions", "rules", "instance_classes", "cluster", "cpus", "time_limit",
    "queue", "host", (CSC, "train allow_partial"), (CSC, "predict allow_partial"),
    # of what is made beside the stack
    ("align.py", "out_dataset"),
    # names of results, or of datasets of the output of the same configuration
    "export.datasets",
    # names of the paper's datasets, not of ones in a container
    ("fetch_data.py", "dataset"), ("fetch_checkpoint.py", "dataset"), ("create_masks.py", "dataset"),
    ("scores.py", "show truth"), ("report.py", "measure"), ("report.py", "resamples"),
}  # fmt: skip
