"""A pipeline without weights: what is needed to say where the words of a prompt are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from adhere.drawing.loading import find_folder
from adhere.drawing.model_folder import check_vocabulary, component_folder, components
from adhere.errors import UnsupportedPipeline, first_line

_READERS = ("tokenizer", "processor")
_DENOISERS = ("unet", "transformer")


def load_outline(model: str | os.PathLike[str]) -> Any:  # noqa: ANN401
    """A pipeline with its tokenizers, and a denoiser without weights; it cannot draw.

    Args:
        model: "mini", a folder in diffusers' layout, or an id on the hub.

    Raises:
        ValueError: no such model, or a folder whose tokenizers or configurations cannot be read.
        UnsupportedPipeline: the folder names a pipeline that diffusers does not have.
    """
    import diffusers

    folder = find_folder(os.fspath(model))[0].resolve()
    names = components(folder)
    index = json.loads((folder / "model_index.json").read_text(encoding="utf-8"))
    kind = getattr(diffusers, index["_class_name"], None)
    if not isinstance(kind, type) or not issubclass(kind, diffusers.DiffusionPipeline):
        raise UnsupportedPipeline(
            f"{str(folder)!r} names the pipeline {index['_class_name'][:60]!r}, which diffusers "
            f"{diffusers.__version__} does not have. Install a diffusers that has it."
        )
    pipe = object.__new__(kind)
    for name in names:
        if name.startswith(_READERS) or name in _DENOISERS:
            check_vocabulary(component_folder(folder, name))
        try:
            vars(pipe)[name] = _component(folder / name, index[name][1])
        # Files of strangers fail in as many ways as there are classes that read them.
        except Exception as error:
            raise ValueError(
                f"{name} in {str(folder)!r} cannot be read: {first_line(error)}."
            ) from error
    return pipe


def _component(place: Path, kind: str) -> Any:  # noqa: ANN401
    """A tokenizer, a denoiser without weights, or a mark that the pipeline has something else."""
    import diffusers
    import torch
    import transformers

    if place.name.startswith(_READERS):
        reader = getattr(transformers, kind)
        if not issubclass(
            reader, transformers.PreTrainedTokenizerBase | transformers.ProcessorMixin
        ):
            raise TypeError(f"{kind[:60]!r} is no tokenizer.")
        return reader.from_pretrained(place, local_files_only=True, trust_remote_code=False)
    if place.name not in _DENOISERS or not hasattr(diffusers, kind):
        return object()
    denoiser: Any = getattr(diffusers, kind)
    with torch.device("meta"):
        return denoiser.from_config(denoiser.load_config(place, local_files_only=True))
