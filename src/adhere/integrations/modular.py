"""A block for diffusers' modular pipelines: nursing as a keyword of the pipeline's call.

blocks = NurseBlock().insert_into(Flux2KleinBaseAutoBlocks())
pipe = blocks.init_pipeline("black-forest-labs/FLUX.2-klein-base-4B")
pipe.load_components()
image = pipe(prompt=prompt, nurse=adhere.AttendAndExcite(), output="images")[0]
"""

from __future__ import annotations

from typing import Any, ClassVar

from diffusers.modular_pipelines import (
    InputParam,
    LoopSequentialPipelineBlocks,
    ModularPipelineBlocks,
    OutputParam,
)

from adhere.errors import UnsupportedPipeline
from adhere.methods import make
from adhere.nursing.block import nursed


class NurseBlock(ModularPipelineBlocks):
    """A denoise loop that is nursed where the pipeline's call says so.

    The pipeline's call has these keywords more:

    - `nurse`: a method, the name of one, or a list of them; without it, or with None, the loop
      runs as it is.
    - `nurse_subjects`: see `adhere.nurse`, `subjects`.
    - `nurse_boxes`: see `adhere.nurse`, `boxes`.

    It gives one output more, `nurse_trace`, the `adhere.Trace` of the run, or None.

    Attributes:
        loop: the denoise loop inside; None in a block that is still to be inserted.
    """

    _requirements: ClassVar[dict[str, str]] = {"adhere": ">=0.1"}

    def __init__(self, loop: LoopSequentialPipelineBlocks | None = None) -> None:
        super().__init__()
        self.loop = loop

    def insert_into(self, blocks: ModularPipelineBlocks) -> ModularPipelineBlocks:
        """Nurse every denoise loop of some blocks.

        Args:
            blocks: a pipeline's, or one denoise loop; what is nursed already stays as it is.

        Returns:
            The same blocks, whose loops are now inside nurse blocks; for one loop its nurse block.

        Raises:
            UnsupportedPipeline: there is no denoise loop.
        """
        if isinstance(blocks, LoopSequentialPipelineBlocks):
            return type(self)(blocks)
        if not self._insert(blocks):
            raise UnsupportedPipeline(
                f"{type(blocks).__name__} has no denoise loop, which is what can be nursed. Give "
                "all blocks of a pipeline, such as StableDiffusionXLAutoBlocks()."
            )
        return blocks

    def _insert(self, blocks: ModularPipelineBlocks) -> int:
        """How many loops of these blocks are nursed now."""
        count = 0
        for name, block in list(blocks.sub_blocks.items()):
            if isinstance(block, LoopSequentialPipelineBlocks):
                blocks.sub_blocks[name] = type(self)(block)
                count += 1
            else:
                count += isinstance(block, NurseBlock) or self._insert(block)
        return count

    @property
    def model_name(self) -> str | None:
        """The loop's kind of model."""
        return None if self.loop is None else self.loop.model_name

    @property
    def description(self) -> str:
        """What the block does."""
        own = "Nurses the loop, so that every subject of the prompt is drawn: nurse=a method."
        return own if self.loop is None else f"{own}\n{self.loop.description}"

    @property
    def expected_components(self) -> list:
        """Those of the loop."""
        return [] if self.loop is None else self.loop.expected_components

    @property
    def expected_configs(self) -> list:
        """Those of the loop."""
        return [] if self.loop is None else self.loop.expected_configs

    @property
    def inputs(self) -> list[InputParam]:
        """The loop's, and this block's own."""
        own = [
            InputParam("nurse", description="A method of adhere, its name, or a list of them."),
            InputParam("nurse_subjects", description="Words that must be drawn; None finds them."),
            InputParam("nurse_boxes", description="Boxes by subject, in fractions of the image."),
            InputParam("prompt", description="The text whose subjects are nursed."),
        ]
        theirs = [] if self.loop is None else self.loop.inputs
        names = {one.name for one in theirs}
        return [*theirs, *(one for one in own if one.name not in names)]

    @property
    def intermediate_outputs(self) -> list[OutputParam]:
        """The loop's, and the trace."""
        theirs: list = [] if self.loop is None else self.loop.intermediate_outputs
        return [*theirs, OutputParam("nurse_trace", description="What nursing saw and did.")]

    def set_progress_bar_config(self, **config: Any) -> None:
        """Hand the settings of the progress bar to the loop."""
        show = getattr(self.loop, "set_progress_bar_config", None)
        if show is not None:
            show(**config)

    def __call__(self, components: Any, state: Any) -> tuple[Any, Any]:
        """Run the loop, nursed where the call asks for it.

        Raises:
            UnsupportedPipeline: the block is in no loop, or no prompt is given.
            ValueError: `nurse` is no method, as in `adhere.nurse`.
        """
        if self.loop is None:
            raise UnsupportedPipeline(
                "The nurse block holds no denoise loop. Put it around the loops of your blocks: "
                "blocks = NurseBlock().insert_into(blocks)."
            )
        state.set("nurse_trace", None)
        given = state.get("nurse")
        if given is None:
            return self.loop(components, state)
        prompt = state.get("prompt")
        if prompt is None:
            raise UnsupportedPipeline(
                "nurse= was given without prompt=, by whose words the subjects are found. Give "
                "the prompt too, also where the text is given as embeddings."
            )
        with nursed(
            components,
            _methods(given),
            prompt,
            state.get("nurse_subjects"),
            state.get("nurse_boxes"),
            has_timesteps=True,
        ) as trace:
            components, state = self.loop(components, state)
        state.set("nurse_trace", trace)
        return components, state


def _methods(given: Any) -> Any:
    """Methods, those that are given by name with their defaults.

    Raises:
        ValueError: there is no method of that name.
    """
    if isinstance(given, list | tuple):
        return [_methods(one) for one in given]
    return make(given) if isinstance(given, str) else given
