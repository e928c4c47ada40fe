"""A node that was there before: an override of attention that multiplies what it returns."""

from comfy_api.latest import ComfyExtension, io


class OldOverride(io.ComfyNode):
    """Multiplies every attention by a factor."""

    @classmethod
    def define_schema(cls):
        """One number."""
        return io.Schema(
            node_id="OldOverride",
            inputs=[io.Model.Input("model"), io.Float.Input("factor")],
            outputs=[io.Model.Output()],
        )

    @classmethod
    def execute(cls, model, factor):
        """A copy of the model with the override."""
        changed = model.clone()
        changed.model_options["transformer_options"]["optimized_attention_override"] = (
            lambda func, *args, **keywords: factor * func(*args, **keywords)
        )
        return io.NodeOutput(changed)


class Extension(ComfyExtension):
    """Of this node alone."""

    async def get_node_list(self):
        """The node."""
        return [OldOverride]


async def comfy_entrypoint():
    """For ComfyUI."""
    return Extension()
