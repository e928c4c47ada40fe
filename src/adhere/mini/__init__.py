"""The bundled miniature model: its world, recipe, scorer and weights."""
