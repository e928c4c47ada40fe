"""Records what a pipeline's denoiser and its attention get, and changes one thing of it."""

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch.overrides import TorchFunctionMode

from adhere.families.call import DenoiserCall


class Enough(Exception):
    """The run has shown what is needed."""


@dataclass
class Seen:
    """One call of scaled dot-product attention: its module, queries, keys, mask, scale."""

    module: str
    query: torch.Tensor
    key: torch.Tensor
    mask: torch.Tensor | None
    scale: float | None


class _Watch(TorchFunctionMode):
    def __init__(self, seen, inside):
        self.seen, self.inside = seen, inside

    def __torch_function__(self, function, types, positional=(), named=None):
        named = named or {}
        if function is F.scaled_dot_product_attention and self.inside:
            query, key = [
                *positional,
                *(named[name] for name in ("query", "key") if name in named),
            ][:2]
            mask, scale = named.get("attn_mask"), named.get("scale")
            self.seen.append(Seen(self.inside[-1], query, key, mask, scale))
        return function(*positional, **named)


@contextmanager
def watching(model):
    """Gives the list of attention calls inside a model, which fills in the block."""
    seen, inside = [], []
    with ExitStack() as stack:
        for name, module in model.named_modules():
            if name.count("."):
                hooks = (
                    module.register_forward_pre_hook(lambda *_, name=name: inside.append(name)),
                    module.register_forward_hook(lambda *_: inside.pop() and None),
                )
                for hook in hooks:
                    stack.callback(hook.remove)
        stack.enter_context(_Watch(seen, inside))
        yield seen


def first_call(pipe, arguments, change=None, states=None, mute=()):
    """The first call of the denoiser, and every attention inside it.

    Args:
        change: Call -> another call.
        mute: Modules whose output becomes zero.
        states: Name of a text encoder, (tensor of states -> other states).
    """
    model = pipe.transformer
    calls, seen = [], []
    stack = ExitStack()

    def begin(module, positional, named):
        calls.append(DenoiserCall.of(module, positional, named))
        # Watching makes every operation slower: those of the text encoders need none.
        seen.append(stack.enter_context(watching(module)))
        if change is None:
            return None
        changed = change(calls[-1])
        return changed.args, dict(changed.keywords)

    def end(module, positional, output):
        raise Enough

    with stack:
        for name in mute:
            hook = model.get_submodule(name).register_forward_hook(
                lambda module, positional, output: torch.zeros_like(output)
            )
            stack.callback(hook.remove)
        stack.callback(model.register_forward_pre_hook(begin, with_kwargs=True).remove)
        stack.callback(model.register_forward_hook(end).remove)
        if states:
            stack.callback(_changed_states(pipe, *states).remove)
        try:
            pipe(**arguments)
        except Enough:
            pass
    return calls[0], seen[0]


def _changed_states(pipe, encoder, change):
    """Changes every hidden state that a text encoder gives."""

    def hook(module, positional, output):
        for key in ("last_hidden_state", "hidden_states"):
            value = output.get(key)
            if isinstance(value, torch.Tensor):
                output[key] = change(value)
            elif value is not None:
                output[key] = tuple(map(change, value))
        return output

    return getattr(pipe, encoder).register_forward_hook(hook)


def first_ids(pipe, arguments, encoder):
    """The token numbers that a text encoder gets first, (B, tokens)."""
    found = []

    def begin(module, positional, named):
        found.append(positional[0] if positional else named["input_ids"])
        raise Enough

    hook = getattr(pipe, encoder).register_forward_pre_hook(begin, with_kwargs=True)
    try:
        pipe(**arguments)
    except Enough:
        pass
    finally:
        hook.remove()
    return found[0]


def within(seen, family):
    """Those in a layer of a family; a module inside one counts as it."""
    names = {layer.name for layer in family.layers()}
    return [one for one in seen if names & {one.module, one.module.rpartition(".")[0]}]


def moved(one, other):
    """Numbers of the rows, of (B, heads, rows, D), that differ; the most different first."""
    change = (one - other).abs().amax((0, 1, 3))
    order = change.argsort(descending=True).tolist()
    return [row for row in order if change[row] > 1e-6]


def poked_sample(sample, grid, cell):
    """The latents with one cell changed, whatever their shape."""
    (height, width), (row, column) = grid, cell
    sample = sample.clone()
    if sample.ndim == 3:
        sample[:, row * width + column] += 1
        return sample
    high, long = sample.shape[-2] // height, sample.shape[-1] // width
    sample[..., row * high : (row + 1) * high, column * long : (column + 1) * long] += 1
    return sample


def poked_text(text, column):
    """The embeddings with one column changed: (B, T, ...) or a list of (T, ...)."""
    if isinstance(text, list):
        return [poked_text(each[None], column)[0] for each in text]
    text = text.clone()
    # Not the same number for each channel: a norm would take it out.
    text[:, column] += torch.linspace(-1, 2, text.shape[-1])
    return text
