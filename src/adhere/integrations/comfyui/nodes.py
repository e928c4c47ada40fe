"""The nodes that ComfyUI shows, and how their inputs become a nursed model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from adhere.integrations.comfyui.editing import Editor
from adhere.integrations.comfyui.moving import Mover
from adhere.integrations.comfyui.prompts import place_prompt
from adhere.methods import METHODS, make
from adhere.methods.base import AttentionMethod, LatentMethod, Method
from adhere.nursing.checks import check_needs
from adhere.typed import schema

_BOXES = "ADHERE_BOXES"


async def comfy_entrypoint() -> Any:
    """The extension, for ComfyUI, which calls this when it loads its custom nodes."""
    from comfy_api.latest import ComfyExtension, io  # type: ignore[import-not-found]

    class Adhere(ComfyExtension):
        async def get_node_list(self) -> list:
            return [_attention_node(io), _latents_node(io), _box_node(io)]

    return Adhere()


def _edits(kind: type[Method]) -> bool:
    """Whether a method does nothing but edit attention, and does so in a U-Net."""
    return (
        issubclass(kind, AttentionMethod)
        and not issubclass(kind, LatentMethod)
        and not kind.needs_joint_attention
        and kind.reads is AttentionMethod.reads
    )


def _moves(kind: type[Method]) -> bool:
    """Whether a method does nothing but move latents, whatever they begin from."""
    return (
        issubclass(kind, LatentMethod)
        and not issubclass(kind, AttentionMethod)
        and not kind.needs_noise
    )


def _attention_node(io: Any) -> type:
    """The node of all methods that edit attention."""
    return _nurse_node(
        io,
        "AdhereNurseAttention",
        "Nurse attention (adhere)",
        "Gives every subject of the prompt its attention, so that it is drawn. Use the "
        "conditioning as the positive one.",
        _edits,
        Editor.of,
    )


def _latents_node(io: Any) -> type:
    """The node of all methods that move latents."""
    return _nurse_node(
        io,
        "AdhereNurseLatents",
        "Nurse latents (adhere)",
        "Moves the latents while they are sampled, so that every subject of the prompt is "
        "drawn. Use the conditioning as the positive one, and a sampler with one call of the "
        "model a step, such as euler.",
        _moves,
        Mover.of,
    )


def _nurse_node(
    io: Any,
    name: str,
    title: str,
    description: str,
    fits: Callable[[type[Method]], bool],
    worker_of: Callable[..., Editor | Mover],
) -> type:
    """A node from a model to a nursed one.

    Args:
        io: `comfy_api.latest.io`.
        name: of the node in graphs.
        title: of the node on the canvas.
        description: what it does.
        fits: which methods it offers.
        worker_of: makes what nurses from a model, a method, a prompt and a strength.
    """

    class Nurse(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> Any:
            options = [
                io.DynamicCombo.Option(name, list(_inputs(io, kind)))
                for name, kind in METHODS.items()
                if fits(kind)
            ]
            return io.Schema(
                node_id=name,
                display_name=title,
                category="model_patches/adhere",
                description=description,
                inputs=[
                    io.Model.Input("model"),
                    io.Clip.Input("clip"),
                    io.String.Input("text", multiline=True, tooltip="The prompt."),
                    io.DynamicCombo.Input("method", options=options),
                    io.Float.Input("strength", default=1.0, min=0.0, max=1.0, step=0.05),
                    io.String.Input(
                        "subjects",
                        default="",
                        optional=True,
                        tooltip="Words that must be drawn, with commas. Empty: found by itself.",
                    ),
                    io.Custom(_BOXES).Input(
                        "boxes",
                        optional=True,
                        tooltip="From nodes 'Box of a word', for methods that read boxes.",
                    ),
                ],
                outputs=[io.Model.Output(), io.Conditioning.Output()],
            )

        @classmethod
        def execute(
            cls,
            model: Any,
            clip: Any,
            text: str,
            method: Mapping[str, Any],
            strength: float,
            subjects: str = "",
            boxes: Mapping[str, Any] | None = None,
        ) -> Any:
            # A graph that leaves a parameter out gives None for it.
            given = {key: value for key, value in method.items() if value is not None}
            made = make(given.pop("method"), given)
            prompt = place_prompt(clip, text, subjects, boxes)
            check_needs([made], prompt.placed, text)
            conditioning = clip.encode_from_tokens_scheduled(clip.tokenize(text))
            worker = worker_of(model, made, prompt, strength)
            return io.NodeOutput(worker.put_into(model), conditioning)

    return Nurse


def _box_node(io: Any) -> type:
    """The node that gives a word its place in the image."""

    class WordBox(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> Any:
            sides = {"left": 0.0, "top": 0.0, "right": 0.5, "bottom": 1.0}
            return io.Schema(
                node_id="AdhereWordBox",
                display_name="Box of a word (adhere)",
                category="model_patches/adhere",
                description=(
                    "Where a subject of the prompt is to be, in fractions of the image. Chain "
                    "several, and connect the last to a node that nurses."
                ),
                inputs=[
                    io.String.Input("word", tooltip="A subject of the prompt."),
                    *(
                        io.Float.Input(side, default=value, min=0.0, max=1.0, step=0.01)
                        for side, value in sides.items()
                    ),
                    io.Custom(_BOXES).Input("boxes", optional=True, tooltip="Of other words."),
                ],
                outputs=[io.Custom(_BOXES).Output(display_name="boxes")],
            )

        @classmethod
        def execute(
            cls,
            word: str,
            left: float,
            top: float,
            right: float,
            bottom: float,
            boxes: Mapping[str, Any] | None = None,
        ) -> Any:
            own = {word.strip().lower(): (left, top, right, bottom)}
            return io.NodeOutput({**(boxes or {}), **own})

    return WordBox


def _inputs(io: Any, kind: type) -> Iterator[Any]:
    """One input for each parameter of a method that is a number, a switch or a choice."""
    kinds = {"boolean": io.Boolean, "integer": io.Int, "number": io.Float}
    for name, facts in schema(kind)["properties"].items():
        shared = {
            "id": name,
            "default": facts.get("default"),
            "optional": True,
            "tooltip": facts.get("description"),
        }
        if "enum" in facts:
            yield io.Combo.Input(options=facts["enum"], **shared)
        elif facts.get("type") == "boolean":
            yield io.Boolean.Input(**shared)
        elif facts.get("type") in kinds:
            least = facts.get("minimum", facts.get("exclusiveMinimum"))
            shared |= {"min": least, "max": facts.get("maximum")}
            if facts["type"] == "number":
                shared["step"] = 0.01
            yield kinds[facts["type"]].Input(**shared)
