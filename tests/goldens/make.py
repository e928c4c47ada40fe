"""Runs the authors' own code once more on the settings that each golden file carries.

    python tests/goldens/make.py DIVIDE_AND_BIND ATTENTION_REGULATION OUT [NAME ...]

The first two are checkouts of the authors' repositories, at the commits and in the environment
that README.md beside this says; none of their code is here. Each file is written to OUT, and how
far it is from the one in the repository is printed. Names choose some of the files.
"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, PNDMScheduler, StableDiffusionPipeline
from safetensors import safe_open
from safetensors.torch import save_file

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import author_toys  # noqa: E402

BETAS = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}


def scheduler(name):
    """DDIM or PNDM as Stable Diffusion 1 has them."""
    common = {**BETAS, "steps_offset": 1, "set_alpha_to_one": False}
    if name == "ddim":
        return DDIMScheduler(**common, clip_sample=False)
    return PNDMScheduler(**common, skip_prk_steps=True)


def vae():
    """An autoencoder that halves sides three times; it is never run."""
    return AutoencoderKL(
        block_out_channels=(8,) * 4,
        norm_num_groups=4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
    )


def pipeline(kind, settings):
    """A pipeline around the toy denoiser, without a text encoder."""
    pipe = kind(
        vae(),
        None,
        None,
        author_toys.denoiser(settings["toy"]),
        scheduler(settings["scheduler"]),
        None,
        None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def divide_and_bind(settings):
    """Final latents of the authors' pipeline, and how often it refined at each turn."""
    from divide_and_bind.pipeline_divide_and_bind_latest import (
        StableDiffusionDivideAndBindPipeline,
    )

    pipe = pipeline(StableDiffusionDivideAndBindPipeline, settings)
    turns, own = Counter(), pipe._compute_attention_loss

    def counted(*args, **kwargs):
        turns[pipe.cur_i] += 1
        return own(*args, **kwargs)

    pipe._compute_attention_loss = counted
    tokens = settings["tokens"]
    thresholds = {int(turn): value for turn, value in settings["thresholds"].items()}
    none = [[0] * len(row) for row in tokens]
    final = pipe(
        None,
        tokens,
        settings["attributes"] if settings["mode"] == "tv_bind" else none,
        num_inference_steps=settings["steps"],
        guidance_scale=settings["guidance_scale"],
        loss_mode=settings["mode"],
        max_iter_to_alter=settings["alter"],
        scale_factor=settings["step_size"],
        thresholds=thresholds,
        threshold_indicator="tv_loss",
        output_type="latent",
        **author_toys.inputs(settings["toy"], len(tokens), settings["input_seed"]),
    ).images
    # Two of a turn's readings a sample are no refinements: the first and the last.
    spent = {turn: turns[turn] - 2 * len(tokens) for turn in thresholds}
    found = {str(turn): count for turn, count in spent.items() if count > 0}
    return {"final": final}, {**settings, "refinements": found}


def attention_regulation(settings):
    """Final latents of diffusers' pipeline with the authors' edit in its layers."""
    from attention_regulation.edit_scheme import OptimiseAttnMapEditScheme

    pipe = pipeline(StableDiffusionPipeline, settings)
    pipe.unet.requires_grad_(False)
    scheme = OptimiseAttnMapEditScheme(
        [settings["targets"]], settings["end"], {}, settings["layers"], settings["edited"]
    )
    scheme.add_hook(pipe.unet)
    step = pipe.scheduler.step

    def counted(*args, **kwargs):
        done = step(*args, **kwargs)
        scheme.current_step += 1
        return done

    pipe.scheduler.step = counted
    torch.manual_seed(settings["seed"])
    final = pipe(
        None,
        num_inference_steps=settings["steps"],
        guidance_scale=settings["guidance_scale"],
        output_type="latent",
        **author_toys.inputs(settings["toy"], 1, settings["input_seed"]),
    ).images
    return {"final": final}, settings


def one_layer(settings, scores):
    """The authors' edit of one layer's scores over three steps, in one memory."""
    from attention_regulation.attn_processor import AttnProcessorAttnMapEdit

    targets, memory, edited = settings["targets"], {}, []
    torch.manual_seed(settings["seed"])
    for step, own in enumerate(scores):
        done = AttnProcessorAttnMapEdit().optimise_edit_attn(
            torch.cat([own, own]), [targets], settings["end"], memory, step
        )
        edited.append(done[len(own) :][..., targets].clone())
    return {"scores": scores, "edited": torch.stack(edited)}, settings


def losses(settings, stored):
    """The authors' loss, and the norms of its gradients, on the maps of the file."""
    from divide_and_bind.pipeline_divide_and_bind_latest import (
        StableDiffusionDivideAndBindPipeline,
    )

    pipe = pipeline(StableDiffusionDivideAndBindPipeline, {"toy": "small", "scheduler": "ddim"})
    pipe.color_index_list = settings["attributes"]
    made = {}
    for label in ("soft", "sharp"):
        maps = stored[f"{label}.objects"], stored[f"{label}.attributes"]
        made |= {f"{label}.objects": maps[0], f"{label}.attributes": maps[1]}
        for mode in ("max", "tv", "tv_bind"):
            pipe.threshold_indicator = "max_attn" if mode == "max" else "tv_loss"
            for pipe.cur_i in (0, 10, 20):
                own, attributes = (one.clone().requires_grad_() for one in maps)
                found = pipe._compute_loss_geiven_attn_map(
                    own * 1,
                    settings["tokens"],
                    True,
                    mode,
                    True,
                    attributes * 1 if mode == "tv_bind" else None,
                )
                slopes = torch.autograd.grad(found["loss"], [own, attributes], allow_unused=True)
                key = f"{label}.{mode}.{pipe.cur_i}"
                made[f"{key}.loss"] = found["loss"].detach().reshape(1)
                made[f"{key}.attained"] = found["threshold"].detach().reshape(1).float()
                made[f"{key}.slope"] = slopes[0].norm().reshape(1)
                if slopes[1] is not None:
                    made[f"{key}.attribute_slope"] = slopes[1].norm().reshape(1)
    return made, settings


def make(name, settings, stored):
    """The tensors and settings of a golden file, computed anew."""
    if name == "attention_regulation_layer":
        return one_layer(settings, stored["scores"])
    if name == "divide_and_bind_losses":
        return losses(settings, stored)
    run = divide_and_bind if name.startswith("divide") else attention_regulation
    return run(settings)


def main():
    """Makes the files, and says how far they are from those in the repository."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("divide_and_bind", help="checkout of boschresearch/Divide-and-Bind")
    parser.add_argument("attention_regulation", help="checkout of attention_regulation")
    parser.add_argument("out", type=Path, help="folder of the new files")
    parser.add_argument("names", nargs="*", help="which files (all)")
    chosen = parser.parse_args()
    sys.path[:0] = [chosen.divide_and_bind, chosen.attention_regulation]
    torch.set_num_threads(1)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for path in sorted(HERE.glob("*.safetensors")):
        if chosen.names and path.stem not in chosen.names:
            continue
        with safe_open(path, "pt") as file:
            stored = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            settings = json.loads(file.metadata()["settings"])
        # The authors' code may leave gradients switched off.
        with torch.enable_grad():
            made, found = make(path.stem, settings, stored)
        apart = max(float((made[key] - stored[key]).abs().max()) for key in stored)
        same = "the same" if found == settings else f"other settings {found}"
        print(f"{path.stem}: at most {apart:.1e} apart, {same}", flush=True)
        metadata = {"settings": json.dumps(found, sort_keys=True)}
        made = {key: value.contiguous() for key, value in made.items()}
        save_file(made, chosen.out / path.name, metadata=metadata)


if __name__ == "__main__":
    main()
