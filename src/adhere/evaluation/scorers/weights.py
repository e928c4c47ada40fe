"""Models of scorers from a folder or the hub, reading nothing that could run code."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from adhere.errors import first_line, unknown

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w.-]+(@[\w./-]+)?")
_PICKLES = (".bin", ".ckpt", ".pt", ".pth", ".pkl", ".h5", ".msgpack")
_READ = ("*.safetensors", "*.json", "*.txt", "*.model", "*.jinja")


@dataclass(frozen=True)
class Source:
    """A model on this machine, and where it came from.

    Attributes:
        name: the id on the hub, or the folder's name.
        revision: the commit on the hub, or the hash of the folder's weights and settings.
        folder: where it is.
    """

    name: str
    revision: str
    folder: Path

    @property
    def identity(self) -> str:
        """Name and revision in one."""
        return f"{self.name} at {self.revision}"


def find(model: str) -> Source:
    """A model in transformers' layout, fetched from the hub where need be.

    Args:
        model: a folder, or an id on the hub, "owner/name" or "owner/name@revision".

    Raises:
        ValueError: there is no such model, or one without safetensors weights.
    """
    path = Path(model).expanduser()
    if path.is_dir():
        folder = path.resolve()
        _check(folder, model)
        return Source(folder.name, f"sha256:{_hash(folder)}", folder)
    if path.is_file():
        raise ValueError(
            f"{model!r} is a file; expected a folder in transformers' layout, as "
            "model.save_pretrained(folder) writes it."
        )
    if not _HUB_ID.fullmatch(model):
        raise unknown("model", model, ["a folder", "an id on the hub such as owner/name"])
    return _fetch(model)


def read(kind: Any, source: Source, **settings: Any) -> Any:
    """A model, tokenizer or processor of a class of transformers.

    Args:
        kind: the class; its `from_pretrained` is called.
        source: the folder.
        **settings: passed on to it.

    Raises:
        ValueError: the folder holds no such thing, a broken one, or one with code of its own.
    """
    try:
        return kind.from_pretrained(
            source.folder, local_files_only=True, trust_remote_code=False, **settings
        )
    # Files of strangers fail in as many ways as there are classes that read them.
    except Exception as error:
        raise ValueError(
            f"{source.name!r} cannot be loaded by {kind.__name__} of transformers: "
            f"{first_line(error)}. Give a folder or an id of a model of that kind."
        ) from error


def read_model(kind: Any, source: Source, device: str, dtype: str = "float32") -> Any:
    """A model for inference, from safetensors.

    Args:
        kind: the class, which transformers must know.
        source: the folder.
        device: such as "cpu".
        dtype: such as "float32".

    Raises:
        ValueError: see `read`; or the model is of another kind, or lacks weights.
    """
    import torch

    _check_kind(kind, source)
    model, report = read(
        kind,
        source,
        use_safetensors=True,
        dtype=getattr(torch, dtype),
        output_loading_info=True,
    )
    missing = sorted(report["missing_keys"])
    if missing:
        raise ValueError(
            f"{source.name!r} lacks {len(missing)} weights of a {type(model).__name__} (such as "
            f"{missing[0]}), which would be random; give a model of that kind."
        )
    return model.to(device).eval().requires_grad_(False)


@dataclass(frozen=True)
class Model:
    """A model of transformers, with what turns texts and images into its input.

    Attributes:
        source: where it came from.
        network: the model, on the best device.
        tokenizer: None where it reads no text.
        processor: by PIL, the same with and without torchvision; None where it sees no images.
    """

    source: Source
    network: Any
    tokenizer: Any = None
    processor: Any = None

    @classmethod
    def load(cls, kind: Any, source: Source, *, text: bool = True, images: bool = True) -> Model:
        """The model of a folder, in single precision.

        Args:
            kind: the class, which transformers must know.
            source: the folder.
            text: whether it has a tokenizer.
            images: whether it has an image processor.

        Raises:
            ValueError: see `read_model`.
        """
        from transformers import AutoImageProcessor, AutoTokenizer

        return cls(
            source,
            read_model(kind, source, best_device()),
            read(AutoTokenizer, source) if text else None,
            read(AutoImageProcessor, source, backend="pil") if images else None,
        )

    @property
    def identity(self) -> dict[str, str]:
        """Its part of a scorer's identity."""
        return {
            "model": self.source.name,
            "revision": self.source.revision,
            "precision": "float32",
        }

    def tokens(self, texts: Sequence[str], **settings: Any) -> Any:
        """Texts as tensors; what is beyond the longest text of the model is left out."""
        found = self.tokenizer(list(texts), truncation=True, return_tensors="pt", **settings)
        return found.to(self.network.device)

    def pixels(self, images: Sequence[Image.Image]) -> Any:
        """Images as tensors."""
        return self.processor(list(images), return_tensors="pt").to(self.network.device)


def best_device() -> str:
    """The name of a GPU where there is one, else "cpu"."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def split(model: str | None, defaults: Mapping[str, str]) -> list[str]:
    """The models of a scorer that needs several.

    Args:
        model: names with "+" between; None or an empty name takes the default.
        defaults: what each is for, and its default.

    Raises:
        ValueError: more names than models.
    """
    given = [part.strip() for part in model.split("+")] if model else []
    if len(given) > len(defaults):
        raise ValueError(
            f"Got {len(given)} models ({model!r}); this scorer takes {', '.join(defaults)}, in "
            "this order with '+' between."
        )
    given += [""] * (len(defaults) - len(given))
    return [own or default for own, default in zip(given, defaults.values(), strict=True)]


def _check_kind(kind: Any, source: Source) -> None:
    """A class would read a model of another kind as far as names agree, and make up the rest."""
    expected = getattr(getattr(kind, "config_class", None), "model_type", None)
    try:
        settings = json.loads((source.folder / "config.json").read_text(encoding="utf-8"))
        found = settings.get("model_type")
    except (OSError, ValueError, AttributeError, RecursionError):
        raise ValueError(
            f"config.json of {source.name!r} cannot be read; copy it again."
        ) from None
    if expected is not None and found != expected:
        raise ValueError(
            f"{source.name!r} is a model of the kind {found!r:.60}; expected {expected!r}."
        )


def _check(folder: Path, model: str) -> None:
    if not (folder / "config.json").is_file():
        raise ValueError(
            f"{model!r} is no model: it has no config.json. Expected a folder in transformers' "
            "layout, as model.save_pretrained(folder) writes it."
        )
    if any(folder.glob("*.safetensors")):
        return
    pickles = sorted(p.name for p in folder.iterdir() if p.suffix in _PICKLES)
    if pickles:
        raise ValueError(
            f"{model!r} has its weights in {pickles[0]} only; adhere reads safetensors only, as "
            "other formats can run code when they are read. Where you trust it, load it in "
            "transformers and save it with model.save_pretrained(folder)."
        )
    raise ValueError(
        f"{model!r} has no weights: no *.safetensors is there. Copy or download it again, or, "
        "for an id on the hub, name a revision that has them (many have one at @refs/pr/1 or a "
        "near number); or save it with model.save_pretrained(folder) where you trust it."
    )


def _hash(folder: Path) -> str:
    """SHA-256 over all that is read of a folder."""
    digest = hashlib.sha256()
    for file in sorted({file for kind in _READ for file in folder.rglob(kind)}):
        name = file.relative_to(folder).as_posix()
        digest.update(f"{name}\0{file.stat().st_size}\0".encode())
        with open(file, "rb") as stream:
            while block := stream.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def _fetch(model: str) -> Source:
    from huggingface_hub import snapshot_download

    name, _, revision = model.partition("@")
    try:
        folder = Path(
            snapshot_download(name, revision=revision or None, allow_patterns=list(_READ))
        )
    # Whatever the network, the hub or its client raise, the model is not here.
    except Exception as error:
        raise ValueError(
            f"{model!r} is no folder here, and the hub did not give it "
            f"({type(error).__name__}: {first_line(error)}). Check the spelling and the network, "
            "or give a folder."
        ) from error
    _check(folder, model)
    return Source(name, folder.name, folder)
