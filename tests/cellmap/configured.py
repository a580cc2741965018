"""Settings of a training, until they are read from files."""

from types import SimpleNamespace

DEFAULTS = {
    "batch_size": 2, "classes": ["mito", "cell"], "criterion": None, "criterion_kwargs": {}, "device": "cpu", "epochs": 2,
    "force_all_classes": False, "gradient_accumulation_steps": 1, "iterations_per_epoch": 3, "learning_rate": 0.01,
    "input_array_info": {"shape": (1, 16, 16), "scale": (16, 16, 16)}, "load_model": "latest", "max_grad_norm": None,
    "model": None, "model_kwargs": {"width": 2}, "model_name": "2d_unet", "optimizer": None, "random_seed": 1,
    "scheduler": None, "scheduler_kwargs": {}, "validation_batch_limit": None, "validation_time_limit": None,
    "weight_loss": False, "weighted_sampler": True, "use_mutual_exclusion": False, "dataloader_kwargs": {},
    "low_is_best": True,
}


def settings(path, **others):
    values = DEFAULTS | others
    values.setdefault("target_array_info", values["input_array_info"])
    values.setdefault("model_to_load", values["model_name"])
    return SimpleNamespace(path=path / "train.py", **values)
