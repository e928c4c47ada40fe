"""`adhere app`: the page in a browser."""

from __future__ import annotations

import argparse


def run(arguments: argparse.Namespace) -> None:
    """Serves the page until it is interrupted."""
    from adhere.app import serve
    from adhere.cli.choosing import hush

    hush(arguments.debug)
    serve(
        arguments.model or "mini",
        host=arguments.host or "127.0.0.1",
        port=arguments.port or 7860,
        dtype=arguments.dtype,
        device=arguments.device,
    )
