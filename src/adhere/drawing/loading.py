"""A pipeline from a name, a folder or a hub id, reading nothing that could run code.

Weights are read from safetensors only, and no code that comes with a model is run.
"""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from adhere.drawing.model_folder import (
    by_variant,
    check_folder,
    components,
    hash_weights,
    variant_of,
)
from adhere.drawing.recipe import ModelRecipe
from adhere.errors import first_line, unknown
from adhere.mini import FOLDERS, bundled

if TYPE_CHECKING:
    import torch
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

MINI = "mini"
DTYPES = ("float32", "bfloat16", "float16")
# Weights of half the size, which repositories keep beside those of full size under this name.
_VARIANTS = {"float16": "fp16", "bfloat16": "bf16"}

_SAFELY: Mapping[str, Any] = {
    "use_safetensors": True,
    "local_files_only": True,
    "trust_remote_code": False,
}

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True)
class Loaded:
    """A pipeline, and where it came from."""

    pipe: DiffusionPipeline
    source: ModelRecipe


def load(
    model: str | os.PathLike[str] = MINI, *, dtype: str | None = None, device: str | None = None
) -> Loaded:
    """A pipeline ready to draw.

    Args:
        model: "mini" or "mini-joint", the bundled models; or a folder in diffusers' layout; or
            an id on the Hugging Face hub, "owner/name" or "owner/name@revision".
        dtype: "float32", "bfloat16" or "float16"; None takes float16 on a GPU, else float32.
        device: such as "cpu" or "cuda:1"; None takes a GPU where there is one.

    Raises:
        ValueError: no such model, dtype or device; a folder that is no pipeline; weights that
            are no safetensors, or broken ones; a hub that does not answer.
    """
    name = os.fspath(model)
    if dtype is not None and dtype not in DTYPES:
        raise unknown("dtype", dtype, DTYPES)
    place = device_named(device)
    kind = dtype or usual_dtype(name, place)
    preferred = _VARIANTS.get(kind)
    folder, revision = find_folder(name, preferred)
    check_folder(folder)
    variant = variant_of(folder, preferred)
    pipe = _read(folder, kind, variant)
    return Loaded(pipe.to(place), ModelRecipe(name, revision, hash_weights(folder, variant)))


def find_folder(name: str, variant: str | None = None) -> tuple[Path, str | None]:
    """The folder of a model, fetched from the hub where need be, and its revision there.

    Args:
        name: see `load`.
        variant: of the weights to fetch, where the hub has it.

    Raises:
        ValueError: there is no such model.
    """
    folder = local_folder(name)
    if folder is not None:
        return folder, None
    if name in FOLDERS:
        raise ValueError(
            f"The weights of the bundled model {name!r} are missing from this installation; "
            "install adhere anew, or give another model."
        )
    if name and Path(name).expanduser().is_file():
        if Path(name).name == "model_index.json":
            raise ValueError(f"{name!r} is a file of a pipeline; give its folder.")
        raise ValueError(
            f"{name!r} is a file; expected a folder in diffusers' layout. Convert a single file "
            "with StableDiffusionPipeline.from_single_file(…).save_pretrained(folder)."
        )
    if not _HUB_ID.fullmatch(name) or name.startswith("."):
        raise unknown(
            "model", name, [*bundled(), "a folder", "an id on the hub such as owner/name"]
        )
    return _fetch(name, variant)


def local_folder(name: str) -> Path | None:
    """The folder of a bundled model, or of one that is a folder here; None for any other."""
    if name in FOLDERS:
        return bundled().get(name)
    path = Path(name).expanduser()
    # An empty name would be the folder that we are in.
    return path if name and path.is_dir() else None


def usual_dtype(name: str, place: torch.device) -> str:
    """The type of a model's weights where none is asked for."""
    return "float16" if place.type == "cuda" and name not in bundled() else "float32"


def device_named(name: str | None) -> torch.device:
    """A device by name, or the best there is.

    Raises:
        ValueError: no such device on this machine.
    """
    import torch

    there = ["cpu"]
    if torch.cuda.is_available():
        there = ["cuda", *(f"cuda:{i}" for i in range(torch.cuda.device_count())), "cpu"]
    elif torch.backends.mps.is_available():
        there = ["mps", "cpu"]
    if name is not None and name not in there:
        raise unknown("device", name, there)
    return torch.device(name or there[0])


@contextmanager
def _quietly(bars: bool = False) -> Iterator[None]:
    """Inside the block, libraries show errors alone, and bars only where they are asked for."""
    from diffusers.utils import logging as of_diffusers
    from transformers.utils import logging as of_transformers

    former = [
        (logging, logging.get_verbosity(), logging.is_progress_bar_enabled())
        for logging in (of_diffusers, of_transformers)
    ]
    try:
        for logging, _, _ in former:
            logging.set_verbosity_error()
            if not bars:
                logging.disable_progress_bar()
        yield
    finally:
        for logging, verbosity, has_bars in former:
            logging.set_verbosity(verbosity)
            if has_bars:
                logging.enable_progress_bar()


def _read(folder: Path, dtype: str, variant: str | None = None) -> DiffusionPipeline:
    import torch

    try:
        with _quietly():
            from diffusers.pipelines.pipeline_utils import DiffusionPipeline

            kind = getattr(torch, dtype)
            pipe = DiffusionPipeline.from_pretrained(
                folder,
                dtype=kind,
                variant=variant,
                **_SAFELY,
                **_encoders(folder, kind, variant),
            )
            _check_parts(pipe)
            return pipe
    # Files of strangers fail in as many ways as there are classes that read them.
    except Exception as error:
        raise ValueError(
            f"{str(folder)!r} could not be loaded as a pipeline: {first_line(error)}."
        ) from error


def _encoders(folder: Path, kind: torch.dtype, variant: str | None) -> dict[str, Any]:
    """The models of transformers, which fills weights that a file lacks at random."""
    import transformers

    found = {}
    for name, (library, class_name) in components(folder).items():
        own: Any = getattr(transformers, class_name, None) if library == "transformers" else None
        if inspect.isclass(own) and issubclass(own, transformers.PreTrainedModel):
            place = folder / name
            both: Any = own.from_pretrained(
                place,
                dtype=kind,
                variant=variant if variant in by_variant(place) else None,
                output_loading_info=True,
                **_SAFELY,
            )
            found[name], told = both
            _check_whole(name, sorted(told["missing_keys"]))
    return found


def _check_parts(pipe: DiffusionPipeline) -> None:
    """Refuses models without all of their weights."""
    from torch.nn import Module

    for name, part in pipe.components.items():
        if isinstance(part, Module):
            # Diffusers gives weights that a file lacks no values.
            _check_whole(name, [n for n, own in part.named_parameters() if own.is_meta])


def _check_whole(name: str, missing: Sequence[str]) -> None:
    if missing:
        raise ValueError(
            f"its {name} lacks {len(missing)} weights that its config.json names (first: "
            f"{missing[0]}); copy or download it again"
        )


def _fetch(name: str, variant: str | None) -> tuple[Path, str | None]:
    """A model of the hub in the local cache."""
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline

    identity, _, revision = name.partition("@")

    def download(variant: str | None) -> Path:
        folder = DiffusionPipeline.download(
            identity,
            revision=revision or None,
            variant=variant,
            use_safetensors=True,
            trust_remote_code=False,
        )
        return Path(folder)

    try:
        with _quietly(bars=True):
            try:
                folder = download(variant)
            except ValueError as error:
                if variant is None or f"variant={variant}" not in str(error):
                    raise
                folder = download(None)
    # Whatever the network, the hub or its client raise, the model is not here.
    except Exception as error:
        raise ValueError(
            f"{name!r} is no folder here, and the hub did not give it "
            f"({type(error.__cause__ or error).__name__}: {first_line(error)}). Check the "
            "spelling and the network, or give a folder."
        ) from error
    return folder, folder.name
