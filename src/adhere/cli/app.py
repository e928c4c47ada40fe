"""`adhere app`: the page in a browser."""

from __future__ import annotations

from adhere.cli.choosing import Source


def app(*, source: Source, host: str = "127.0.0.1", port: int = 7860) -> None:
    """Serve a page on which to draw, correct subjects and compare, until Ctrl-C.

      adhere app
      adhere app --model stable-diffusion-v1-5/stable-diffusion-v1-5 --port 8000

    Args:
        source: what draws, and on what machine.
        host: address to listen at; 0.0.0.0 for other machines too.
        port: of the address.
    """
    from adhere.app import serve
    from adhere.cli.choosing import hush

    hush()
    serve(source.model, host=host, port=port, dtype=source.dtype, device=source.device)
