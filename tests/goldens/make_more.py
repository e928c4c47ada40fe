"""Runs the authors' own code of four more methods on the settings that each golden file carries.

    python tests/goldens/make_more.py CODE OUT

CODE holds checkouts of the authors' repositories, in folders named as README.md beside this says,
with their commits and the environment; none of their code is here. Each file is written to OUT,
and how far it is from the one in the repository is printed. All is computed in double precision.
"""

import argparse
import json
import sys
import types
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from make import pipeline  # noqa: E402

import author_toys  # noqa: E402

SETTINGS = {
    "conform_ddim": {"scheduler": "ddim", "groups": [[2, 3], [6, 7]], "refined": [0, 2]},
    "conform_pndm": {"scheduler": "pndm", "groups": [[2, 3], [6, 7]], "refined": [0]},
    "conform_nouns_ddim": {"scheduler": "ddim", "groups": [[3], [7]], "refined": [2]},
    "initno_search": {"scheduler": "ddim", "targets": [3, 7], "iterations": 6},
    "initno_ddim": {"scheduler": "ddim", "targets": [3, 7]},
    "initno_losses": {"targets": [3, 7]},
    "self_cross_ddim": {"scheduler": "ddim", "targets": [3, 7]},
    "self_cross_losses": {"targets": [3, 7]},
    "bounded_attention_losses": {"groups": [[2, 3], [6, 7]]},
}
COMMON = {"toy": "small", "input_seed": 3, "steps": 4, "guidance_scale": 7.5, "alter": 3}
BOXES = [[0.0625, 0.1875, 0.4375, 0.8125], [0.5625, 0.1875, 0.9375, 0.8125]]
RES = (16, 16)


def prepared(kind, settings):
    """The authors' pipeline in double precision, and what it is called with."""
    pipe = pipeline(kind, settings)
    pipe.unet.double()
    drawn = author_toys.inputs(settings["toy"], 1, settings["input_seed"])
    drawn = {key: value.double() for key, value in drawn.items()}
    how = {
        "num_inference_steps": settings["steps"],
        "guidance_scale": settings["guidance_scale"],
        "max_iter_to_alter": settings["alter"],
        "attn_res": RES,
        "output_type": "latent",
    }
    return pipe, drawn, how


def conform(settings):
    """Final latents of the authors' pipeline with the numbers of their notebook."""
    from pipeline_conform import ConformPipeline

    pipe, drawn, how = prepared(ConformPipeline, settings)
    final, _ = pipe(
        None,
        [settings["groups"]],
        softmax_normalize=False,
        refinement_steps=2,
        iterative_refinement_steps=settings["refined"],
        **how,
        **drawn,
    )
    return {"final": final}


def initno_search(settings):
    """The noise that the authors' search finds from one beginning."""
    from initno.pipelines.pipeline_sd_initno import StableDiffusionInitNOPipeline
    from utils.ptp_utils import AttentionStore

    pipe, drawn, _ = prepared(StableDiffusionInitNOPipeline, settings)
    pipe.attention_store = AttentionStore(RES)
    pipe.register_attention_control()
    found, _, _ = pipe.fn_initno(
        drawn["latents"],
        settings["targets"],
        torch.cat([drawn["negative_prompt_embeds"], drawn["prompt_embeds"]]),
        max_step=settings["iterations"],
        num_inference_steps=settings["steps"],
        device="cpu",
    )
    return {"noise": found}


def without_search(kind, settings):
    """Final latents of the authors' sampling loop, from the noise that it is given."""
    pipe, drawn, how = prepared(kind, settings)
    # There is no text encoder: the embeddings are given.
    pipe.encode_prompt = lambda *_, prompt_embeds, negative_prompt_embeds, **__: (
        prompt_embeds,
        negative_prompt_embeds,
    )
    pipe.fn_initno = lambda latents, **_: (latents, True, torch.zeros(1))
    called = pipe(None, settings["targets"], run_sd=False, result_root=None, **how, **drawn)
    return {"final": called.images}


def initno_ddim(settings):
    """The loop of InitNO."""
    from initno.pipelines.pipeline_sd_initno import StableDiffusionInitNOPipeline

    return without_search(StableDiffusionInitNOPipeline, settings)


def self_cross_ddim(settings):
    """The loop of Self-Cross Guidance on InitNO."""
    from pipelines.pipeline_sc_initno import SelfCrossInitNOPipeline

    return without_search(SelfCrossInitNOPipeline, settings)


def on_maps(kind, names, settings):
    """The authors' losses of one reading, and the norms of their gradients."""
    made = {}
    for label, sharpness in (("soft", 2.0), ("sharp", 6.0)):
        cross, own = author_toys.maps(sharpness)
        for stage, loss in (
            ("search", "fn_compute_loss"),
            ("nurse", "fn_augmented_compute_losss"),
        ):
            leaves = [cross.clone().requires_grad_(), own.clone().requires_grad_()]
            store = types.SimpleNamespace(
                aggregate_attention=lambda from_where, is_cross, leaves=leaves: leaves[
                    0 if is_cross else 1
                ]
            )
            pipe = types.SimpleNamespace(
                attention_store=store, cross_attention_maps_cache=None, _execution_device="cpu"
            )
            found = getattr(kind, loss)(pipe, settings["targets"])
            for name, value in zip(names[stage], found, strict=True):
                value = torch.as_tensor(value, dtype=torch.float64).reshape(1)
                made[f"{label}.{stage}.{name}"] = value.detach()
                slopes = torch.autograd.grad(value, leaves, retain_graph=True, allow_unused=True)
                for leaf, slope in zip(("cross", "self"), slopes, strict=True):
                    norm = torch.zeros(1) if slope is None else slope.norm().reshape(1)
                    made[f"{label}.{stage}.{name}.{leaf}_slope"] = norm.double()
    return made


def initno_losses(settings):
    """The losses of InitNO."""
    from initno.pipelines.pipeline_sd_initno import StableDiffusionInitNOPipeline

    names = {"search": ("joint", "missing", "overlap")}
    names["nurse"] = ("joint", "missing", "outside", "overlap")
    return on_maps(StableDiffusionInitNOPipeline, names, settings)


def self_cross_losses(settings):
    """The losses of Self-Cross Guidance on InitNO."""
    from pipelines.pipeline_sc_initno import SelfCrossInitNOPipeline

    names = dict.fromkeys(("search", "nurse"), ("joint", "total", "overlap"))
    return on_maps(SelfCrossInitNOPipeline, names, settings)


def bounded_attention_losses(settings):
    """The loss of Bounded Attention on one layer of each kind, and its masks."""
    # They serve its debugging images and the clusters after guidance alone.
    unused = ("torchvision", "torchvision.utils", "sklearn", "sklearn.decomposition")
    sys.modules |= {name: types.ModuleType(name) for name in unused}
    sys.modules["torchvision"].transforms = sys.modules["torchvision.utils"].save_image = None
    sys.modules["torchvision"].utils = sys.modules["torchvision.utils"]
    sys.modules["sklearn.decomposition"].PCA = None
    from bounded_attention import BoundedAttention

    cross, own = author_toys.maps(2.0)
    # Their loss counts the end token (8) among every subject's words: here it has no attention.
    cross = cross * (torch.arange(12) != 8)
    leaves = [cross.clone().requires_grad_(), own.clone().requires_grad_()]
    editor = BoundedAttention(
        BOXES,
        ["a purple dog and a green bench"],
        settings["groups"],
        [0],
        [0],
        eos_token_index=8,
        filter_token_indices=[],
        mask_eos=False,
    )
    editor.optimized = True
    editor._save_loss_values(leaves[0].flatten(0, 1)[None, None], True)
    editor._save_loss_values(leaves[1].flatten(0, 1)[None, None], False)
    loss, score = editor._compute_loss()
    slopes = torch.autograd.grad(loss, leaves)
    slopes[0][..., 8] = 0
    made = {"loss": loss.detach()[None], "mean": score.detach()[None]}
    made |= {f"{k}_slope": s.norm()[None] for k, s in zip(("cross", "self"), slopes, strict=True)}
    for nursing in (True, False):
        editor.optimized = nursing
        hidden = editor._hide_other_subjects_from_tokens(1, 256, 12, torch.float64, "cpu")
        made[f"words_hidden_{nursing}"] = (hidden[1, 0] < 0).to(torch.uint8)
    hidden = editor._hide_other_subjects_from_subjects(1, 256, torch.float64, "cpu")
    made["cells_hidden"] = (hidden[1, 0] < 0).to(torch.uint8)
    return made


CODE = {"conform": "CONFORM", "initno": "initno", "self_cross": "selfcross-guidance"}
CODE |= {"bounded": "bounded-attention"}


def main():
    """Makes the files, and says how far they are from those in the repository."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("code", type=Path, help="folder of the checkouts")
    parser.add_argument("out", type=Path, help="folder of the new files")
    parser.add_argument("method", choices=CODE, help="whose code is run")
    chosen = parser.parse_args()
    sys.path.insert(0, str(chosen.code / CODE[chosen.method]))
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    chosen.out.mkdir(parents=True, exist_ok=True)
    for name, own in SETTINGS.items():
        if not name.startswith(chosen.method):
            continue
        settings = {**COMMON, **own}
        make = globals()[name] if name in globals() else conform
        with torch.enable_grad():
            made = {key: value.detach().contiguous() for key, value in make(settings).items()}
        save_file(made, chosen.out / f"{name}.safetensors", {"settings": json.dumps(settings)})
        path, said = HERE / f"{name}.safetensors", "new"
        if path.exists():
            with safe_open(path, "pt") as file:
                apart = [(made[k] - file.get_tensor(k)).abs().max() for k in made]
            said = f"at most {max(map(float, apart)):.1e} apart"
        print(f"{name}: {said}", flush=True)


if __name__ == "__main__":
    main()
