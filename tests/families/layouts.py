"""What each family's denoiser gets and where its attention has words and image."""

from . import facts_blocks, facts_flux, facts_more, facts_qwen
from .layout import Layout, Stream

__all__ = ["LAYOUTS", "Layout", "Stream"]

LAYOUTS: dict[str, Layout] = {
    **facts_flux.FACTS,
    **facts_qwen.FACTS,
    **facts_more.FACTS,
    **facts_blocks.FACTS,
}
