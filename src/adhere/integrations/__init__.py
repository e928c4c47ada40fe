"""Ways into other programs: diffusers' modular pipelines, and ComfyUI."""
