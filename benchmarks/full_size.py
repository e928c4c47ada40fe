"""Cost of nursing at full size: operations and memory, counted without weights.

Denoisers of the published configurations in `models/` stand on torch's meta device, where tensors
have sizes and no contents. One sample, the conditional branch, in bfloat16.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

MODELS = Path(__file__).parent / "models"
# From latents to a scalar whose gradient may be taken inside the block.
Pass = Callable[[Tensor], AbstractContextManager[Tensor]]
META = torch.device("meta")
# Where two subjects stand among the text's columns makes no difference to the cost.
WORDS, SUBJECTS = range(1, 7), {"cat": 2, "frog": 5}


@dataclass(frozen=True)
class Cost:
    """What a pass costs.

    Attributes:
        forward: floating-point operations of the pass.
        backward: of the gradient for the latents.
        held: bytes that are held between the two, weights aside.
        peak: the most bytes at any time of both, weights aside.
    """

    forward: int = 0
    backward: int = 0
    held: int = 0
    peak: int = 0


@dataclass(frozen=True)
class Costs:
    """What nursing one image costs.

    Attributes:
        whole: a whole pass of the denoiser, one branch.
        nursing: a nursing pass.
        checkpointed: the same with gradient checkpointing; operations are not counted.
        weights: bytes of the denoiser.
        branches: passes that the baseline makes at each step.
        steps: of the loop.
    """

    whole: Cost
    nursing: Cost
    checkpointed: Cost
    weights: int
    branches: int
    steps: int

    @property
    def run(self) -> float:
        """A run that nurses the first half of its steps once, in runs of the baseline."""
        once = self.nursing.forward + self.nursing.backward
        baseline = self.steps * self.branches * self.whole.forward
        return 1 + self.steps // 2 * once / baseline


def models() -> dict[str, dict[str, Any]]:
    """The published configurations by name."""
    files = sorted(MODELS.glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def costs(model: dict[str, Any]) -> Costs:
    """What nursing with Attend-and-Excite costs on one of the models."""
    from adhere.nursing.hooks import frozen

    denoiser = build(model)
    weights = sum(p.numel() * p.element_size() for p in denoiser.parameters())
    whole, nursing, latents = passes(model, denoiser)
    with frozen(denoiser):
        found = operations(whole, latents), operations(nursing, latents)
        held = memory(denoiser, nursing, latents)
        if hasattr(denoiser, "enable_gradient_checkpointing"):
            denoiser.enable_gradient_checkpointing()
        checkpointed = memory(denoiser, nursing, latents)
    nursed = Cost(found[1].forward, found[1].backward, held.held, held.peak)
    return Costs(found[0], nursed, checkpointed, weights, model["branches"], model["steps"])


def table() -> list[tuple[str, ...]]:
    """The costs of every model, after the heads of the columns."""
    heads = (
        "model", "weights", "nursing pass: forward", "backward", "a run", "held for the gradient",
        "with checkpointing", "weights and peak", "with checkpointing",
    )  # fmt: skip
    return [heads, *(row(model, costs(model)) for model in models().values())]


def in_markdown(rows: Sequence[tuple[str, ...]], columns: Sequence[int]) -> str:
    """Some columns of a table."""
    heads, *body = ([one[column] for column in columns] for one in rows)
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *body]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def row(model: dict[str, Any], cost: Costs) -> tuple[str, ...]:
    """The cells of one model."""
    passes = [n / cost.whole.forward for n in (cost.nursing.forward, cost.nursing.backward)]
    both = cost.nursing, cost.checkpointed
    return (
        f"{model['title']}, {model['pixels']} pixels",
        f"{cost.weights / 1e9:.1f} GB",
        *(f"{share:.2f} ×" for share in (*passes, cost.run)),
        *(f"{one.held / 1e9:.2f} GB" for one in both),
        *(f"{(cost.weights + one.peak) / 1e9:.1f} GB" for one in both),
    )


def build(model: dict[str, Any]) -> Any:
    """The denoiser of a configuration, without weights."""
    import diffusers

    with META:
        denoiser = getattr(diffusers, model["denoiser"])(**model["config"])
    # Training mode, for only there is a pass checkpointed; none of them has dropout.
    return denoiser.to(torch.bfloat16).train()


def passes(model: dict[str, Any], denoiser: Any) -> tuple[Pass, Pass, Tensor]:
    """A whole pass, a nursing pass, and latents."""
    from adhere.attention.columns import Columns
    from adhere.attention.tap import recording
    from adhere.families import Opened, Placed, family_of
    from adhere.families.call import DenoiserCall
    from adhere.methods.attend_and_excite import AttendAndExcite
    from adhere.methods.schedule import Step
    from adhere.nursing.context import Context
    from adhere.subjects import Subject

    latents, arguments, size = CALLS[model["denoiser"]](model, denoiser.config)
    family = family_of(_Pipe(denoiser))
    subjects = tuple(Subject(word, (place,)) for word, place in SUBJECTS.items())
    words = tuple(WORDS)
    placed = Placed("", (), (), {}, subjects, subjects, words, (), words)
    mask = torch.zeros((1, model["text"]), dtype=torch.bool, device=META)
    context = Context(family, (placed,), Columns(mask, mask, mask))
    method = AttendAndExcite()
    reader = context.reader(method)

    def run(moving: Tensor) -> Any:
        return denoiser(**arguments(moving), return_dict=False)[0]

    @contextmanager
    def whole(moving: Tensor) -> Iterator[Tensor]:
        result = run(moving)
        yield (result[0] if isinstance(result, list) else result).sum()

    @contextmanager
    def nursing(moving: Tensor) -> Iterator[Tensor]:
        call = DenoiserCall.of(denoiser, (), arguments(moving))
        opened = Opened(call, 1, 0, 1, moving, size)
        heads = {}

        def read(name: str, seen: Any) -> Tensor:
            heads[name] = seen.heads
            return seen.mean_probabilities(family.region(opened, seen))

        layers = {layer.name: layer.module for layer in reader.layers}
        # Checkpointing reads once more for the gradient, which is taken inside this block too.
        with recording(layers, read) as record:
            rows = record(lambda: run(moving))
            reading = context.reading(reader, rows, heads, size, Step(0, 1, 0.0))
            yield method.loss(reading).sum()

    return whole, nursing, latents


class _Pipe:
    """As much of a pipeline as tells its family."""

    tokenizer = tokenizer_2 = SimpleNamespace(model_max_length=77, padding_side="right")
    tokenizer_3 = scheduler = None

    def __init__(self, denoiser: Any) -> None:
        name = "unet" if type(denoiser).__name__.startswith("UNet") else "transformer"
        setattr(self, name, denoiser)


def operations(run: Pass, latents: Tensor) -> Cost:
    """Operations of a function from latents to a scalar, and of its gradient."""
    leaf = latents.clone().requires_grad_()
    with ExitStack() as stack:
        with FlopCounterMode(display=False) as forward:
            scalar = stack.enter_context(run(leaf))
        with FlopCounterMode(display=False) as backward:
            torch.autograd.grad(scalar, leaf)
    return Cost(forward.get_total_flops(), backward.get_total_flops())


def memory(denoiser: Any, run: Pass, latents: Tensor) -> Cost:
    """Bytes of a function from latents to a scalar, and of its gradient."""
    from adhere.attention.tap import tapped

    attentions = {n: m for n, m in denoiser.named_modules() if hasattr(m, "processor")}
    leaf = latents.clone().requires_grad_()
    with tapped(attentions, fused), Live() as live:
        with run(leaf) as scalar:
            held = live.now
            torch.autograd.grad(scalar, leaf)
    return Cost(held=held, peak=live.peak)


class Live(TorchDispatchMode):
    """Counts the bytes of all tensors that are made inside and still there."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: weakref.WeakSet[Any] = weakref.WeakSet()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        given = {id(t.untyped_storage()) for t in tree_leaves((args, kwargs)) if _is(t)}
        for tensor in filter(_is, tree_leaves(result)):
            storage = tensor.untyped_storage()
            if id(storage) in given or storage in self.known:
                continue
            self.known.add(storage)
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._release, storage.nbytes())
        return result

    def _release(self, size: int) -> None:
        self.now -= size


def _is(value: Any) -> bool:
    return isinstance(value, Tensor)


def fused(layer: str, call: Any) -> Tensor:
    """Attention by the fused kernel of GPUs, which keeps no probabilities.

    On the meta device PyTorch would take the plain formula. Masks are left out: with one sample
    none of them hides anything.
    """
    return torch.ops.aten._scaled_dot_product_flash_attention(
        call.query, call.key, call.value, 0.0, False, scale=call.scale
    )[0]


# From a model and its denoiser's configuration: latents, the arguments of a call by them, and
# the grid of attention.
Call = tuple[Tensor, Callable[[Tensor], dict[str, Any]], tuple[int, int]]


def _made(*shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.bfloat16, device=META)


def _unet(model: dict[str, Any], config: Any) -> Call:
    side = model["pixels"] // 8
    more = {}
    if config.addition_embed_type:
        more = {"added_cond_kwargs": {"text_embeds": _made(1, 1280), "time_ids": _made(1, 6)}}
    text = _made(1, model["text"], config.cross_attention_dim)

    def arguments(latents: Tensor) -> dict[str, Any]:
        return {
            "sample": latents,
            "timestep": torch.tensor(981),
            "encoder_hidden_states": text,
            **more,
        }

    return _made(1, 4, side, side), arguments, (side, side)


def _sd3(model: dict[str, Any], config: Any) -> Call:
    side = model["pixels"] // 8
    text, pooled = _made(1, model["text"], 4096), _made(1, config.pooled_projection_dim)

    def arguments(latents: Tensor) -> dict[str, Any]:
        return {
            "hidden_states": latents,
            "encoder_hidden_states": text,
            "pooled_projections": pooled,
            "timestep": _made(1),
        }

    return _made(1, config.in_channels, side, side), arguments, (side // 2, side // 2)


def _packed(model: dict[str, Any], config: Any) -> Call:
    """FLUX.1, FLUX.2 and Qwen-Image."""
    side, kind = model["pixels"] // 16, model["denoiser"]
    axes = 4 if kind.startswith("Flux2") else 3
    text = _made(1, model["text"], config.joint_attention_dim)
    more: dict[str, Any] = {"timestep": _made(1)}
    if kind.startswith("Qwen"):
        more |= {"img_shapes": [[(1, side, side)]]}
    else:
        leading = (1,) if axes == 4 else ()
        more["img_ids"] = _made(*leading, side * side, axes)
        more["txt_ids"] = _made(*leading, model["text"], axes)
        if config.guidance_embeds:
            more["guidance"] = _made(1)
        if axes == 3:
            more["pooled_projections"] = _made(1, config.pooled_projection_dim)

    def arguments(latents: Tensor) -> dict[str, Any]:
        return {"hidden_states": latents, "encoder_hidden_states": text, **more}

    return _made(1, side * side, config.in_channels), arguments, (side, side)


def _z_image(model: dict[str, Any], config: Any) -> Call:
    side = model["pixels"] // 8
    text = _made(model["text"], config.cap_feat_dim)

    def arguments(latents: Tensor) -> dict[str, Any]:
        return {"x": list(latents.unbind()), "t": _made(1), "cap_feats": [text]}

    return _made(1, config.in_channels, 1, side, side), arguments, (side // 2, side // 2)


CALLS = {
    "UNet2DConditionModel": _unet,
    "SD3Transformer2DModel": _sd3,
    "FluxTransformer2DModel": _packed,
    "Flux2Transformer2DModel": _packed,
    "QwenImageTransformer2DModel": _packed,
    "ZImageTransformer2DModel": _z_image,
}
