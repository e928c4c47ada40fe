"""What nursing costs: operations and memory of full-size models, and time against diffusers.

    python benchmarks/cost.py                # all tables; minutes on two cores
    python benchmarks/cost.py --only flops   # a minute: nothing is computed, only counted
    python benchmarks/cost.py --write        # the first table, into docs/cost.md and README.md
    python benchmarks/cost.py --device cuda --channels 320 --dtype float16

The first table counts operations and bytes of the models in `models/`, without their weights, on
torch's meta device. The second compares operations with those of diffusers' own pipeline on Stable
Diffusion 1.5's U-Net at 512 pixels. The third runs Attend-and-Excite for a few steps,
half of them nursed and none refined, through `adhere` and through the pipeline that diffusers
ships, on a U-Net of the same plan with fewer channels.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import full_size
import torch
from timing import INDICES, PROMPT, print_measured, unet
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

# For `training`, the code of the repository that is no part of the package.
sys.path.append(str(Path(__file__).parents[1]))

STEPS, NURSED = 50, 25
HOME = Path(__file__).parents[1]
PAGE, README = HOME / "docs" / "cost.md", HOME / "README.md"
# Which columns each of them shows.
COLUMNS = {PAGE: range(9), README: (0, 4, 7, 8)}
MARKS = "<!-- benchmarks/cost.py writes from here -->\n", "<!-- to here: cost -->\n"


def write_tables() -> None:
    """Puts the table of full-size models between the marks of both pages."""
    rows = full_size.table()
    for file, columns in COLUMNS.items():
        page = file.read_text("utf-8")
        start, end = (page.index(mark) for mark in MARKS)
        shown = page[: start + len(MARKS[0])] + full_size.in_markdown(rows, columns) + page[end:]
        file.write_text(shown, encoding="utf-8")


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
    from adhere.families.encoder import Encoder
    from adhere.families.unet import UNetFamily
    from adhere.methods.attend_and_excite import AttendAndExcite
    from adhere.nursing.context import Context
    from adhere.nursing.hooks import frozen
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
    from training.gates.localisation import look
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
    """The second table."""
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


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["flops", "time"])
    parser.add_argument("--write", action="store_true")
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
    if options.write:
        write_tables()
        return
    if options.only != "time":
        print(full_size.in_markdown(full_size.table(), COLUMNS[PAGE]))
        print_operations()
    if options.only != "flops":
        print_measured(options)


if __name__ == "__main__":
    main()
