"""Runs small graphs in ComfyUI's own engine, on a toy checkpoint: python graph.py FOLDER NODES.

Prints one line of JSON: for each graph its latents as a list, or its error.
"""

import asyncio
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import torch

folder, node = Path(sys.argv[1]), sys.argv[2]
sys.argv[1:] = []
for name in ("nms", "qnms"):
    # torchvision's own library is built for other devices; nothing here draws boxes.
    torch.library.define(
        f"torchvision::{name}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
    )
import comfy.cli_args  # noqa: E402

comfy.cli_args.args.cpu = True
comfy.cli_args.args.disable_all_custom_nodes = True
import comfy.ops  # noqa: E402
import comfy.sd1_clip  # noqa: E402
import execution  # noqa: E402
import folder_paths  # noqa: E402
import nodes  # noqa: E402
from comfy.ldm.modules.diffusionmodules.openaimodel import UNetModel  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

PROMPT = "a (red:1.2) car and a blue bowl"


def weights(model, seed):
    """Random weights that keep numbers in bounds."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, tensor in model.state_dict().items():
        if not tensor.is_floating_point():
            found[name] = tensor
        elif "norm" in name or name.endswith(("bias", "in_layers.0.weight")):
            found[name] = torch.full(tensor.shape, float(name.endswith("weight")))
        else:
            fan = tensor[0].numel() if tensor.ndim > 1 else 1
            wide = 3.0 if "attn2" in name else 1.0
            found[name] = torch.randn(tensor.shape, generator=generator) * wide / fan**0.5
    return {name: tensor.half().contiguous() for name, tensor in found.items()}


def checkpoint():
    """A U-Net of two levels by the layout of Stable Diffusion 1, and its text encoder."""
    unet = UNetModel(
        image_size=8,
        in_channels=4,
        out_channels=4,
        model_channels=320,
        num_res_blocks=[1, 1],
        channel_mult=(1, 1),
        transformer_depth=[1, 1],
        transformer_depth_output=[1, 1, 1, 1],
        transformer_depth_middle=1,
        context_dim=768,
        num_heads=8,
        use_spatial_transformer=True,
        legacy=False,
        operations=comfy.ops.disable_weight_init,
    )
    clip = comfy.sd1_clip.SDClipModel()
    made = {f"model.diffusion_model.{k}": v for k, v in weights(unet, 0).items()}
    made |= {
        f"cond_stage_model.{k}": v
        for k, v in weights(clip, 1).items()
        if k.startswith("transformer.text_model")
    }
    return made


def shared_boxes(shared):
    """The boxes so far, for the next node of a chain."""
    return {"boxes": shared["boxes"]} if "boxes" in shared else {}


def graph(
    name,
    *,
    before=None,
    method=None,
    node="Attention",
    boxes=None,
    then=None,
    text=PROMPT,
    negative="blur",
    sampler="euler",
    **inputs,
):
    """A graph from checkpoint to latents.

    Args:
        name: of the graph.
        before: the factor of a node that is there before.
        method: of the node.
        node: which of the nodes that nurse.
        boxes: by word, each from a node of its own.
        then: inputs of a second node, which edits attention.
        text: the prompt.
        negative: the other one.
        sampler: of the latents.
        inputs: further ones of the node.
    """
    made = {
        "checkpoint": ("CheckpointLoaderSimple", {"ckpt_name": "toy.safetensors"}),
        "positive": ("CLIPTextEncode", {"clip": ["checkpoint", 1], "text": text}),
        "negative": ("CLIPTextEncode", {"clip": ["checkpoint", 1], "text": negative}),
        "latent": ("EmptyLatentImage", {"width": 64, "height": 48, "batch_size": 2}),
    }
    model, positive = ["checkpoint", 0], ["positive", 0]
    if before is not None:
        made["before"] = ("OldOverride", {"model": model, "factor": before})
        model = ["before", 0]
    if method is not None:
        shared = {"strength": 1.0, "clip": ["checkpoint", 1], "text": text}
        for word, (left, top, right, bottom) in (boxes or {}).items():
            place = {"word": word, "left": left, "top": top, "right": right, "bottom": bottom}
            made[f"box of {word}"] = ("AdhereWordBox", place | shared_boxes(shared))
            shared["boxes"] = [f"box of {word}", 0]
        given = shared | inputs | {"model": model, "method": method}
        made["nurse"] = (f"AdhereNurse{node}", given)
        model, positive = ["nurse", 0], ["nurse", 1]
        if then is not None:
            made["second"] = ("AdhereNurseAttention", shared | then | {"model": model})
            model = ["second", 0]
    made["sampler"] = (
        "KSampler",
        {
            "model": model,
            "positive": positive,
            "negative": ["negative", 0],
            "latent_image": ["latent", 0],
            "seed": 7,
            "steps": 2,
            "cfg": 4.0,
            "sampler_name": sampler,
            "scheduler": "normal",
            "denoise": 1.0,
        },
    )
    made["save"] = ("SaveLatent", {"samples": ["sampler", 0], "filename_prefix": name})
    return {key: {"class_type": kind, "inputs": given} for key, (kind, given) in made.items()}


REGULATION = {"method": "attention-regulation", "method.iterations": 5}
WEIGHTS = {"method": "token-reweighting"}
WORDS = WEIGHTS | {"method.mode": "words"}
EXCITED = {"node": "Latents", "method": "attend-and-excite", "method.max_refinements": 1}
LEFT = {"car": (0.0, 0.0, 0.5, 1.0), "bowl": (0.5, 0.0, 1.0, 1.0)}
RIGHT = {"car": (0.5, 0.0, 1.0, 1.0), "bowl": (0.0, 0.0, 0.5, 1.0)}
GRAPHS = {
    "plain": {},
    "zero": WEIGHTS | {"strength": 0.0},
    "outside": WORDS | {"method.start": 1.0},
    "weighted": WEIGHTS,
    "half": WEIGHTS | {"strength": 0.5},
    "words": WORDS,
    "regulated": REGULATION,
    "old": {"before": 1.1},
    "old_zero": WEIGHTS | {"before": 1.1, "strength": 0.0},
    "old_weighted": WEIGHTS | {"before": 1.1},
    "old_words": WORDS | {"before": 1.1},
    "after": {"negative": "a blur"},
    "regulated_again": REGULATION | {"boxes": {"car": (0.0, 0.0, 0.5, 1.0)}},
    "excited_zero": EXCITED | {"strength": 0.0},
    "excited_not": EXCITED | {"method.step_size": 0.0},
    "excited": EXCITED,
    "excited_half": EXCITED | {"strength": 0.5},
    "excited_again": EXCITED,
    "excited_multistep": EXCITED | {"sampler": "dpmpp_2m"},
    "multistep": {"sampler": "dpmpp_2m"},
    "crossed": {"node": "Latents", "method": "self-cross"},
    "old_excited": EXCITED | {"before": 1.1},
    "excited_weighted": EXCITED | {"then": WEIGHTS},
    "heun": EXCITED | {"sampler": "heun", "method.stop": 1.0},
    "plain_again": {},
    "left": {"method": "regions", "boxes": LEFT},
    "right": {"method": "regions", "boxes": RIGHT},
    "left_latents": {"node": "Latents", "method": "boxdiff", "boxes": LEFT},
    "right_latents": {"node": "Latents", "method": "boxdiff", "boxes": RIGHT},
    "no_box": {"method": "regions"},
    "one_subject": {"node": "Latents", "method": "conform", "subjects": "car"},
    "unknown_word": WEIGHTS | {"subjects": "zebra"},
    "wrong_box": WEIGHTS | {"boxes": {"car": (0.5, 0.0, 0.5, 1.0)}},
    "other_box": WEIGHTS | {"boxes": {"dog": (0.0, 0.0, 1.0, 1.0)}},
    "wrong_number": WEIGHTS | {"method.alpha": 0.0},
    "long": WEIGHTS | {"text": "a red car and " * 40},
    "long_negative": WEIGHTS | {"negative": "a red car and " * 40},
}


async def main():
    """Load the nodes, and run every graph."""
    folder_paths.set_output_directory(str(folder))
    folder_paths.add_model_folder_path("checkpoints", str(folder), is_default=True)
    save_file(checkpoint(), folder / "toy.safetensors")
    assert await nodes.load_custom_node(node)
    assert await nodes.load_custom_node(str(Path(__file__).parent / "old_override.py"))
    # What the engine tells its browser.
    server = SimpleNamespace(client_id=None, last_node_id=None, send_sync=lambda *_: None)
    cache = {"lru": 0, "ram": 1.0, "ram_inactive": 1.0}
    executor = execution.PromptExecutor(server, cache_args=cache)
    found = {}
    for name, given in GRAPHS.items():
        prompt = graph(name, **given)
        is_valid, error, outputs, errors = await execution.validate_prompt(name, prompt, None)
        if not is_valid:
            found[name] = {"error": f"{error} {errors}"}
            continue
        await executor.execute_async(prompt, name, {}, outputs)
        last = executor.status_messages[-1]
        if last[0] != "execution_success":
            found[name] = {"error": str(last[1].get("exception_message", last))}
            continue
        (file,) = folder.glob(f"{name}_0*.latent")
        found[name] = {"latents": load_file(file)["latent_tensor"].flatten().tolist()}
    info = {
        name: str(nodes.NODE_CLASS_MAPPINGS[f"Adhere{name}"].INPUT_TYPES())
        for name in ("NurseAttention", "NurseLatents", "WordBox")
    }
    print(json.dumps({"graphs": found, "inputs": info}))


with torch.inference_mode():
    asyncio.run(main())
