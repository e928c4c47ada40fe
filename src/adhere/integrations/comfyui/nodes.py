"""The nodes that ComfyUI shows, and how their inputs become a nursed model."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from adhere.integrations.comfyui.editing import Editor
from adhere.integrations.comfyui.prompts import place_prompt
from adhere.methods import METHODS
from adhere.methods.base import AttentionMethod


async def comfy_entrypoint() -> Any:
    """The extension, for ComfyUI, which calls this when it loads its custom nodes."""
    from comfy_api.latest import ComfyExtension, io  # type: ignore[import-not-found]

    class Adhere(ComfyExtension):
        async def get_node_list(self) -> list:
            return [_attention_node(io)]

    return Adhere()


def _attention_node(io: Any) -> type:
    """The node of all methods that edit attention.

    Args:
        io: `comfy_api.latest.io`.
    """

    class NurseAttention(io.ComfyNode):
        @classmethod
        def define_schema(cls) -> Any:
            options = [
                io.DynamicCombo.Option(name, list(_inputs(io, kind)))
                for name, kind in METHODS.items()
                if issubclass(kind, AttentionMethod)
            ]
            return io.Schema(
                node_id="AdhereNurseAttention",
                display_name="Nurse attention (adhere)",
                category="model_patches/adhere",
                description=(
                    "Gives every subject of the prompt its attention, so that it is drawn. Use "
                    "the conditioning as the positive one."
                ),
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
                    io.String.Input(
                        "boxes",
                        default="",
                        optional=True,
                        multiline=True,
                        tooltip=(
                            "One a line: a subject, a colon, and left, top, right, bottom in "
                            "fractions of the image, as in cat: 0, 0, 0.5, 1. Only methods that "
                            "read boxes use them."
                        ),
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
            boxes: str = "",
        ) -> Any:
            prompt = place_prompt(clip, text, subjects, boxes)
            conditioning = clip.encode_from_tokens_scheduled(clip.tokenize(text))
            numbers = dict(method)
            kind = METHODS[numbers.pop("method")]
            # A graph that leaves a parameter out gives None for it.
            editor = Editor.of(
                model,
                kind(**{k: v for k, v in numbers.items() if v is not None}),
                prompt,
                strength,
            )
            return io.NodeOutput(editor.put_into(model), conditioning)

    return NurseAttention


def _inputs(io: Any, kind: type) -> Iterator[Any]:
    """One input for each parameter of a method that is a number, a switch or a choice."""
    types = typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        given = types[field.name]
        shared = {"id": field.name, "default": field.default, "optional": True}
        if typing.get_origin(given) is typing.Literal:
            yield io.Combo.Input(options=list(typing.get_args(given)), **shared)
        elif given is bool:
            yield io.Boolean.Input(**shared)
        elif given is int:
            yield io.Int.Input(min=0, max=10_000, **shared)
        elif given is float:
            yield io.Float.Input(min=0.0, max=1e6, step=0.01, **shared)
