"""What nursing costs: operations on a full-size U-Net, and time and memory against diffusers.

    python benchmarks/cost.py                # all tables; minutes on two cores
    python benchmarks/cost.py --only flops   # seconds: nothing is computed, only counted
    python benchmarks/cost.py --device cuda --channels 320 --dtype float16

The first table counts floating-point operations of Stable Diffusion 1.5's U-Net at 512 pixels,
without its weights, on torch's meta device. The second runs Attend-and-Excite for a few steps,
half of them nursed and none refined, through `adhere` and through the pipeline that diffusers
ships, on a U-Net of the same plan with fewer channels.
"""

from __future__ import annotations

import argparse
import gc
import json
import multiprocessing
import os
import resource
import threading
import time
import warnings
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

PROMPT, INDICES = "a cat and a frog", [2, 5]
STEPS, NURSED = 50, 25


def unet(channels: int = 320, text: int = 768) -> Any:
    """Stable Diffusion 1.5's U-Net, or one of its plan with other widths."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(channels, 2 * channels, 4 * channels, 4 * channels),
        cross_attention_dim=text,
        attention_head_dim=8,
        norm_num_groups=min(32, channels // 4),
    ).requires_grad_(True)


def parts(channels: int) -> dict[str, Any]:
    """A pipeline's parts around such a U-Net; the text encoder is small, for it hardly counts."""
    from diffusers import AutoencoderKL, DDIMScheduler
    from training.text import build_tokenizer
    from transformers import CLIPTextConfig, CLIPTextModel

    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    words = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=768,
        intermediate_size=768,
        num_hidden_layers=1,
        num_attention_heads=12,
        eos_token_id=tokenizer.eos_token_id,
    )
    blocks = {
        "block_out_channels": (8,) * 4,
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "norm_num_groups": 4,
    }
    return {
        "vae": AutoencoderKL(**blocks),
        "text_encoder": CLIPTextModel(words),
        "tokenizer": tokenizer,
        "unet": unet(channels),
        "scheduler": DDIMScheduler(
            beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1
        ),
        "safety_checker": None,
        "feature_extractor": None,
        "requires_safety_checker": False,
    }


# Operations.


@dataclass(frozen=True)
class Operations:
    """Floating-point operations, for one sample.

    Attributes:
        forward: of a pass of the U-Net.
        backward: of a gradient for the latents.
    """

    forward: int
    backward: int


def counted(run: Callable[[Tensor], Tensor]) -> Operations:
    """Operations of a function from latents to a scalar, and of its gradient."""
    latents = torch.randn((1, 4, 64, 64), device="meta", requires_grad=True)
    with FlopCounterMode(display=False) as forward:
        scalar = run(latents)
    with FlopCounterMode(display=False) as backward:
        torch.autograd.grad(scalar, latents)
    return Operations(forward.get_total_flops(), backward.get_total_flops())


def operations() -> dict[str, Operations]:
    """Of a whole pass, of the nursing pass, and of the nursing pass of diffusers' pipeline."""
    from diffusers.pipelines.deprecated.stable_diffusion_attend_and_excite import (
        pipeline_stable_diffusion_attend_and_excite as port,
    )

    from adhere.families import Opened, batched, place
    from adhere.families.call import DenoiserCall
    from adhere.families.columns import Encoder
    from adhere.families.unet import UNetFamily
    from adhere.methods.attend_and_excite import AttendAndExcite
    from adhere.nursing.hooks import frozen
    from adhere.nursing.passes import Context, look
    from adhere.subjects import Subject

    class Pipe:
        tokenizer_2 = None

    with torch.device("meta"):
        denoiser = unet()
    Pipe.unet = denoiser
    text = torch.randn((1, 77, 768), device="meta")
    timestep = torch.tensor(981)
    method = AttendAndExcite()
    family = UNetFamily(Pipe())
    subjects = (Subject("cat", (2,)), Subject("frog", (5,)))
    from training.text import build_tokenizer

    words = build_tokenizer()
    placed = place([Encoder("tokenizer", words, pads=True)], {"prompt": PROMPT}, subjects, 77)
    context = Context(family, (placed,), batched([placed], 77).to(torch.device("meta")))
    reader = context.reader(method)

    def whole(latents: Tensor) -> Tensor:
        return denoiser(latents, timestep, text)[0].sum()

    def nursing(latents: Tensor) -> Tensor:
        call = DenoiserCall.of(denoiser, (latents, timestep, text), {})
        opened = Opened(call, 1, 0, 1, latents, (64, 64))
        reading = look(context, reader, opened, lambda: denoiser(latents, timestep, text))
        return method.loss(reading).sum()

    def ported(latents: Tensor) -> Tensor:
        denoiser(latents, timestep, encoder_hidden_states=text)
        maps = store.aggregate_attention(from_where=("up", "down", "mid"))
        return maps[..., INDICES].max()

    with frozen(denoiser):
        found = {"whole pass": counted(whole), "adhere": counted(nursing)}
    store = port.AttentionStore((16, 16))
    holder = type("Holder", (), {"unet": denoiser, "attention_store": store})()
    port.StableDiffusionAttendAndExcitePipeline.register_attention_control(holder)
    return found | {"diffusers": counted(ported)}


def print_operations() -> None:
    """The first table."""
    found = operations()
    whole = found["whole pass"]
    plain = 2 * STEPS * whole.forward
    print(f"\nStable Diffusion 1.5's U-Net, 64 x 64 latents, one sample; {STEPS} steps with")
    print(f"guidance, {NURSED} of them nursed, none refined. In billions of operations.\n")
    print(f"{'':14}{'forward':>10}{'backward':>10}{'forward':>9}{'backward':>9}{'run':>9}")
    for name, one in found.items():
        # diffusers passes once at every step, whether or not it moves anything.
        passes = {"whole pass": 0, "adhere": NURSED, "diffusers": STEPS}[name]
        moves = NURSED if passes else 0
        run = (plain + passes * one.forward + moves * one.backward) / plain
        shares = one.forward / whole.forward, one.backward / whole.backward
        print(
            f"{name:14}{one.forward / 1e9:10.0f}{one.backward / 1e9:10.0f}"
            f"{shares[0]:8.3f}x{shares[1]:8.3f}x{run:8.3f}x"
        )


# Time and memory.


@dataclass
class Saved:
    """Bytes that autograd holds on to, the weights' own aside."""

    weights: set[int]
    live: dict[int, list[int]] = field(default_factory=dict)
    now: int = 0
    peak: int = 0

    def pack(self, tensor: Tensor) -> Any:
        """Count a tensor's memory once, until the last that shares it is let go."""
        storage = tensor.untyped_storage()
        place = storage.data_ptr()
        if place in self.weights:
            return tensor.detach(), None
        entry = self.live.setdefault(place, [0, storage.nbytes()])
        entry[0] += 1
        if entry[0] == 1:
            self.now += entry[1]
            self.peak = max(self.peak, self.now)
        ticket = _Ticket()
        weakref.finalize(ticket, self.release, place)
        return tensor.detach(), ticket

    def release(self, place: int) -> None:
        """One tensor less uses this memory."""
        entry = self.live[place]
        entry[0] -= 1
        if not entry[0]:
            self.now -= entry[1]
            del self.live[place]


class _Ticket:
    """Lives as long as autograd holds a tensor."""


@contextmanager
def watched_memory(device: str) -> Iterator[dict[str, float]]:
    """The most memory that the block takes beyond what was there, in MB."""
    gc.collect()
    found: dict[str, float] = {}
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield found
        found["memory"] = (torch.cuda.max_memory_allocated() - before) / 1e6
        return
    peak, is_over = 0, threading.Event()
    page = resource.getpagesize()

    def resident() -> int:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * page

    def look() -> None:
        nonlocal peak
        while not is_over.wait(0.005):
            peak = max(peak, resident())

    before = resident()
    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield found
    finally:
        is_over.set()
        thread.join()
    found["memory"] = (peak - before) / 1e6


def measured(job: tuple[str, int, argparse.Namespace]) -> dict[str, float]:
    """Seconds, and MB, of one way of drawing a batch."""
    way, batch, options = job
    warnings.simplefilter("ignore")
    import diffusers

    from adhere.methods.attend_and_excite import AttendAndExcite
    from adhere.nursing import nurse

    torch.set_num_threads(options.threads)
    diffusers.utils.logging.set_verbosity_error()
    is_port = way == "diffusers"
    kind = diffusers.StableDiffusionPipeline
    if is_port:
        kind = diffusers.StableDiffusionAttendAndExcitePipeline
    pipe = kind(**parts(options.channels))
    pipe = pipe.to(options.device, getattr(torch, options.dtype))
    pipe.set_progress_bar_config(disable=True)
    others: dict[str, Any] = {}
    if is_port:
        nursed = options.steps // 2
        others = {"token_indices": INDICES, "thresholds": {}, "max_iter_to_alter": nursed}
        others["attn_res"] = (options.latents // 4, options.latents // 4)

    def draw(steps: int) -> None:
        pipe(
            PROMPT,
            height=8 * options.latents,
            width=8 * options.latents,
            num_inference_steps=steps,
            num_images_per_prompt=batch,
            generator=torch.Generator().manual_seed(0),
            output_type="latent",
            **others,
        )
        if options.device != "cpu":
            torch.cuda.synchronize()

    saved = Saved({p.untyped_storage().data_ptr() for p in pipe.unet.parameters()})

    def run(steps: int) -> None:
        if way != "adhere":
            return draw(steps)
        with nurse(pipe, AttendAndExcite(refine_at=()), prompt=PROMPT, subjects=["cat", "frog"]):
            return draw(steps)

    if options.device != "cpu":
        run(2)
    with watched_memory(options.device) as found:
        started, worked = time.perf_counter(), time.process_time()
        run(options.steps)
        found["seconds"] = time.perf_counter() - started
        found["work"] = time.process_time() - worked
    if way != "plain":
        with saved_tensors_hooks(saved.pack, lambda packed: packed[0]):
            run(2)
    return {**found, "saved": saved.peak / 1e6}


def print_measured(options: argparse.Namespace) -> None:
    """The second table."""
    print(f"\nA U-Net of that plan with {options.channels} channels at its widest level,")
    print(
        f"{options.latents} x {options.latents} latents, {options.dtype} on {options.device}",
        end=" ",
    )
    print(f"({options.threads} threads);")
    print(f"{options.steps} steps with guidance, half of them nursed, none refined.\n")
    print("Work is seconds of processor time, which a busy machine leaves as it is; graph is what")
    print(
        "autograd holds besides weights, peak what the process takes besides what it began with."
    )
    print()
    heads = "".join(f"{name:>10}" for name in ("seconds", "work", "graph MB", "peak MB"))
    print(f"{'batch':>5}  {'':10}{heads}")
    context = multiprocessing.get_context("spawn")
    for batch in options.batches:
        rows = {}
        for way in ("plain", "adhere", "diffusers"):
            # Each in its own process, so that none inherits another's memory.
            with ProcessPoolExecutor(1, mp_context=context) as pool:
                rows[way] = pool.submit(measured, (way, batch, options)).result()
            one = rows[way]
            row = "".join(
                f"{one[key]:10.{digits}f}"
                for key, digits in (("seconds", 2), ("work", 2), ("saved", 0), ("memory", 0))
            )
            print(f"{batch:5}  {way:10}{row}", flush=True)
        ours, port = rows["adhere"], rows["diffusers"]
        ratios = {key: port[key] / ours[key] for key in ("seconds", "work", "saved", "memory")}
        print(
            f"{'':7}diffusers / adhere: {json.dumps({k: round(v, 2) for k, v in ratios.items()})}"
        )


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["flops", "time"])
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--latents", type=int, default=32)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    options = parser.parse_args()
    # Read by the processes that measure, when they import the library.
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    if options.only != "time":
        print_operations()
    if options.only != "flops":
        print_measured(options)


if __name__ == "__main__":
    main()
