"""Nodes for ComfyUI, for whose public interface they are written.

A custom node is a folder whose `__init__.py` is one line:

    from adhere.integrations.comfyui import comfy_entrypoint

ComfyUI's own modules are imported only by functions that ComfyUI calls.
"""

from adhere.integrations.comfyui.nodes import comfy_entrypoint

__all__ = ["comfy_entrypoint"]
