"""A custom node of ComfyUI; `pip install adhere` in its environment brings what it does."""

from adhere.integrations.comfyui import comfy_entrypoint as comfy_entrypoint
