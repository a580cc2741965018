"""Parts of gpu.py that measure a network alone: each prints a line of JSON for each row as soon as it has it."""

import argparse
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from networks_common import BLOCKS, NETWORKS, TRAINING, draw_raw, set_weights, torch_network

from lsd_experiments.networks import Network
from lsd_experiments.networks.layers import gflop

PRECISIONS = ("bfloat16", "tf32", "float32", "float16")  # the most wanted first
COMPILED = "bfloat16, compiled"  # of PyTorch
PASSES = 3  # of a training step: forward, and twice as much backward
RATE = 0.5e-4
KEPT = (slice(None), *[slice(None, None, 4)] * 3)  # of outputs, to compare
Options = argparse.Namespace


def put(**row: Any) -> None:
    """Print a row."""
    print(json.dumps(row), flush=True)


def timed(options: Options, call: Callable[[], Any], seconds: float = 2.0) -> float:
    """The least of some runs that take ``seconds`` together, after one that is not counted; ``call`` ends when all is done."""
    call()
    taken: list[float] = []
    while not taken or (not options.toy and sum(taken) < seconds and len(taken) < 20):
        begin = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begin)
    return min(taken)


def backend() -> str:
    from lsd_experiments.prediction.loading import keras_backend

    return keras_backend()


def check_gpu(options: Options, framework: str) -> None:
    """:raises SystemExit: if ``framework`` sees no GPU, and this is not at toy size"""
    if options.toy:
        return
    if framework in ("torch", "PyTorch"):
        import torch

        seen = torch.cuda.is_available()
    elif framework == "jax":
        import jax

        seen = jax.default_backend() == "gpu"
    else:
        import tensorflow as tf

        seen = bool(tf.config.list_physical_devices("GPU"))
    if not seen:
        raise SystemExit(f"{framework} sees no GPU")


def set_tf32(framework: str, allowed: bool) -> None:
    """Whether float32 may be computed in 19 bits, where the hardware can."""
    if framework in ("torch", "PyTorch"):
        import torch

        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
    elif framework == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "tensorfloat32" if allowed else "float32")
    else:
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(allowed)


def gpu_memory(framework: str) -> float | None:
    """The peak that the framework has taken of the GPU, in GiB, so far; None where it does not say."""
    if framework in ("torch", "PyTorch"):
        import torch

        return torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None
    if framework == "jax":
        import jax

        found = jax.devices()[0].memory_stats()
        return found["peak_bytes_in_use"] / 2**30 if found else None
    import tensorflow as tf

    return tf.config.experimental.get_memory_info("GPU:0")["peak"] / 2**30 if tf.config.list_physical_devices("GPU") else None


def small(network: Network) -> Network:
    """At toy size."""
    return dataclasses.replace(network, num_fmaps=2, fmap_inc_factor=1, num_fmaps_out=3, downsample_factors=((1, 2, 2),))


def sizes(options: Options) -> Iterator[tuple[str, Network, tuple[int, int, int]]]:
    """The names, networks and input shapes of prediction."""
    if options.toy:
        network = small(NETWORKS["zebrafinch"])
        yield "zebrafinch mtlsd", network, network.smallest_input_shape
        return
    for name, network in NETWORKS.items():
        yield f"{name} mtlsd", network, BLOCKS[name]


def precisions(options: Options, candidate: str, few: int) -> tuple[str, ...]:
    """Which are measured of a candidate; at toy size ``few`` of ours, as compilation takes longest there."""
    return PRECISIONS[:few] if options.toy and candidate != "PyTorch" else PRECISIONS


def measure_machine(options: Options) -> None:
    """What the GPU is, and its rate of matrix products in each precision."""
    import torch

    check_gpu(options, "PyTorch")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = torch.cuda.get_device_name() if device.type == "cuda" else "no GPU"
    put(what=name, note=f"PyTorch {torch.__version__}, CUDA {torch.version.cuda or '-'}")
    size = 256 if options.toy else 8192
    for precision in PRECISIONS:
        set_tf32("PyTorch", precision == "tf32")
        dtype = getattr(torch, precision) if precision != "tf32" else torch.float32
        a, b = (torch.rand(size, size, device=device).to(dtype) for _ in range(2))

        def call(a: Any = a, b: Any = b) -> None:
            torch.matmul(a, b)
            synchronize(device)

        seconds = timed(options, call, 0.5)
        put(what=f"matrix product, {size}", candidate="PyTorch", precision=precision, seconds=seconds,
            rate=2 * size**3 / seconds / 1e12)


def synchronize(device: Any) -> None:
    import torch

    if device.type == "cuda":
        torch.cuda.synchronize()


def measure_forward(options: Options) -> None:
    """A published block, on the device alone and with copies from and to the host."""
    candidate = options.candidate or backend()
    check_gpu(options, candidate)
    make = partial(torch_forward, toy=options.toy) if candidate == "PyTorch" else keras_forward
    for name, network, shape in sizes(options):
        for precision in (*precisions(options, candidate, 2), *([COMPILED] if candidate == "PyTorch" else [])):
            row = {"what": name, "candidate": candidate, "precision": precision}
            set_tf32(candidate, precision == "tf32")
            try:
                device, host = make(network, shape, "float32" if precision == "tf32" else precision)
                seconds, with_copies = timed(options, device), timed(options, host, 1.0)
            except Exception as error:  # of a framework: not enough memory, no such convolution
                put(**row, note=reason(error))
                continue
            outputs = Path(options.work) / f"{name}_{candidate}_{precision}.npy".replace(" ", "_")
            np.save(outputs, host())
            put(**row, seconds=seconds, with_copies=with_copies, rate=gflop(network, shape) / seconds / 1e3,
                memory=gpu_memory(candidate), outputs=str(outputs))


def reason(error: Exception) -> str:
    """The first line of what a framework says."""
    return f"failed: {(str(error).strip() or type(error).__name__).splitlines()[0][:200]}"


def torch_forward(
    network: Network, shape: tuple[int, int, int], precision: str, toy: bool
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    layout = {"memory_format": torch.channels_last_3d, "dtype": getattr(torch, precision.partition(",")[0]), "device": device}
    module = torch_network(network).eval().to(**layout)
    if precision == COMPILED:
        module = torch.compile(module, backend="eager" if toy else "inductor")
    host = torch.from_numpy(draw_raw(shape))[None, None]
    raw = host.to(**layout)

    def on_device() -> None:
        with torch.inference_mode():
            module(raw)
        synchronize(device)

    def with_copies() -> np.ndarray:
        with torch.inference_mode():
            outputs = module(host.to(**layout))
            return np.concatenate([values[0].float().cpu().contiguous().numpy()[KEPT] for values in outputs.values()])

    return on_device, with_copies


def keras_forward(network: Network, shape: tuple[int, int, int], precision: str) -> tuple[Callable[[], Any], Callable[[], Any]]:
    from lsd_experiments import frameworks

    frameworks.import_keras()
    from lsd_experiments.networks.keras_model import KerasModel

    model = KerasModel.build(network, shape, precision)
    set_weights(model.model, network)
    raw = draw_raw(shape)

    def with_copies() -> np.ndarray:
        return np.concatenate([values[KEPT] for values in model.predict({"raw": raw}).values()])

    return on_device_of(model.model, raw[None, ..., None]), with_copies


def on_device_of(model: Any, raw: np.ndarray) -> Callable[[], None]:
    """A forward pass of a Keras model whose input and outputs stay on the device."""
    import keras

    inputs = {"raw": keras.ops.convert_to_tensor(raw)}
    if keras.backend.backend() == "jax":
        import jax

        groups = model.trainable_variables, model.non_trainable_variables
        variables = [[variable.value for variable in group] for group in groups]
        forward = jax.jit(lambda weights, others, x: model.stateless_call(weights, others, x, training=False)[0])
        return lambda: jax.block_until_ready(forward(*variables, inputs))
    if keras.backend.backend() == "torch":
        import torch

        device = inputs["raw"].device

        def call() -> None:
            with torch.inference_mode():
                model(inputs, training=False)
            synchronize(device)

        return call
    import tensorflow as tf

    forward = tf.function(lambda x: {name: tf.reduce_max(output) for name, output in model(x, training=False).items()})
    return lambda: [value.numpy() for value in forward(inputs).values()]


def measure_step(options: Options) -> None:
    """Forward, losses, backward and Adam, of zebrafinch mtlsd; batches are ready, and copied to the device."""
    candidate = options.candidate or backend()
    check_gpu(options, candidate)
    network = small(NETWORKS["zebrafinch"]) if options.toy else NETWORKS["zebrafinch"]
    shape = network.smallest_input_shape if options.toy else TRAINING
    make = torch_step if candidate == "PyTorch" else keras_step
    for precision in precisions(options, candidate, 1):
        set_tf32(candidate, precision == "tf32")
        try:
            step = make(network, shape, "float32" if precision == "tf32" else precision)
            first = step()
            seconds = timed(options, step, 3.0)
        except Exception as error:  # of a framework
            put(what="zebrafinch mtlsd", candidate=candidate, precision=precision, note=reason(error))
            continue
        put(what="zebrafinch mtlsd", candidate=candidate, precision=precision, with_copies=seconds,
            rate=PASSES * gflop(network, shape) / seconds / 1e3, memory=gpu_memory(candidate), note=f"first loss {first:.6f}")


def draw_batch(network: Network, shape: tuple[int, int, int]) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Raw [1, 1, z, y, x], and by head targets and weights [1, c, z, y, x]."""
    random, output = np.random.default_rng(2), network.output_shape(shape)
    targets = {head.name: random.random((1, head.channels, *output), np.float32) for head in network.heads}
    weights = {name: (random.random(target.shape, np.float32) < 0.9).astype(np.float32) for name, target in targets.items()}
    return draw_raw(shape)[None, None], targets, weights


def keras_step(network: Network, shape: tuple[int, int, int], precision: str) -> Callable[[], float]:
    from lsd_experiments import frameworks

    frameworks.import_keras()
    from lsd_experiments.targets import Affinities, SquaredError
    from lsd_experiments.training import Adam
    from lsd_experiments.training.options import TrainingOptions
    from lsd_experiments.training.trainable import TrainableModel

    losses = {head.name: SquaredError().in_keras(Affinities()) for head in network.heads}
    asked = TrainingOptions(1, learning_rate=RATE, precision=precision)
    trainer = TrainableModel.start(network, shape, asked, Adam(), losses, seed=0, checkpoint=None)
    set_weights(trainer.model, network)
    raw, targets, weights = draw_batch(network, shape)
    return lambda: trainer.step({"raw": raw}, targets, weights)["loss"]


def torch_step(network: Network, shape: tuple[int, int, int], precision: str) -> Callable[[], float]:
    import torch

    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    module = torch_network(network).to(device=device, memory_format=torch.channels_last_3d)
    optimizer = torch.optim.Adam(module.parameters(), RATE, betas=(0.95, 0.999), eps=1e-8)
    scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16" and device.type == "cuda")
    raw, targets, weights = draw_batch(network, shape)

    def step() -> float:
        optimizer.zero_grad()
        x = torch.from_numpy(raw).to(device=device, memory_format=torch.channels_last_3d)
        goals = {name: [torch.from_numpy(of[name]).to(device) for of in (targets, weights)] for name in targets}
        with torch.autocast(device.type, getattr(torch, precision), enabled=precision != "float32"):
            outputs = module(x)
        loss = sum((w * (outputs[name].float() - goal) ** 2).sum() / w.count_nonzero() for name, (goal, w) in goals.items())
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        return float(loss.detach())

    return step
