"""The nodes that ComfyUI shows, and how their inputs become a nursed model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from adhere.integrations.comfyui.editing import Editor
from adhere.integrations.comfyui.prompts import place_prompt
from adhere.methods import METHODS, make
from adhere.methods.base import AttentionMethod, LatentMethod, Method
from adhere.typed import schema


async def comfy_entrypoint() -> Any:
    """The extension, for ComfyUI, which calls this when it loads its custom nodes."""
    from comfy_api.latest import ComfyExtension, io  # type: ignore[import-not-found]

    class Adhere(ComfyExtension):
        async def get_node_list(self) -> list:
            return [_attention_node(io)]

    return Adhere()


def _fits(kind: type[Method]) -> bool:
    """Whether a method does nothing but edit attention, and does so in a U-Net."""
    return (
        issubclass(kind, AttentionMethod)
        and not issubclass(kind, LatentMethod)
        and not kind.needs_joint_attention
        and kind.reads is AttentionMethod.reads
    )


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
                if _fits(kind)
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
            # A graph that leaves a parameter out gives None for it.
            given = {key: value for key, value in numbers.items() if value is not None}
            made = cast(AttentionMethod, make(given.pop("method"), given))
            editor = Editor.of(model, made, prompt, strength)
            return io.NodeOutput(editor.put_into(model), conditioning)

    return NurseAttention


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
