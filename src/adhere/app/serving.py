"""The page as a server of its own, which leaves nothing behind."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading

from adhere.drawing.loading import MINI, load

# What leaves this machine, or what nobody asked for. The last is a look at the page before it
# counts as served: on a machine that is busy for three seconds it ends the server.
_WITHOUT = (
    "share",
    "run_history",
    "ssr_mode",
    "pwa",
    "mcp_server",
    "enable_monitoring",
    "_frontend",
)


def serve(
    model: str = MINI,
    *,
    host: str | None = None,
    port: int | None = None,
    dtype: str | None = None,
    device: str | None = None,
) -> None:
    """Serves the page until it is interrupted or terminated.

    Args:
        model: "mini", a folder, or an id on the hub, see `adhere.drawing.loading.load`.
        host: address to listen at, "0.0.0.0" for other machines too; None takes Gradio's
            environment variable `GRADIO_SERVER_NAME`, else 127.0.0.1.
        port: of the address; None takes `GRADIO_SERVER_PORT`, else the first free one from 7860.
        dtype: of the model's weights, see `adhere.drawing.loading.load`.
        device: of the model, see `adhere.drawing.loading.load`.

    Raises:
        ValueError: gradio is not installed, or there is no such model or port.
        OSError: the address is not free.
    """
    if port is not None and not 0 < port < 65_536:
        raise ValueError(f"Got port {port}; give one from 1 to 65535.")
    if threading.current_thread() is threading.main_thread():
        # So that the temporary folder is deleted then too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="adhere-app-") as folder:
        # Gradio reads both when it is imported.
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["GRADIO_TEMP_DIR"] = folder
        # PyTorch makes a folder for kernels even where it compiles none, matplotlib one for fonts.
        for name in ("TORCHINDUCTOR_CACHE_DIR", "MPLCONFIGDIR"):
            os.environ.setdefault(name, folder)
        try:
            from gradio import processing_utils

            from adhere.app.page import LOOK, make_page
        except ImportError as error:
            raise ValueError(f"The page needs pip install 'adhere[app]' ({error}).") from error
        processing_utils.async_ssrf_protected_download = _refuse_address
        make_page(load(model, dtype=dtype, device=device)).launch(
            **LOOK,
            **dict.fromkeys(_WITHOUT, False),
            server_name=host,
            server_port=port,
            footer_links=[],
            max_file_size="20mb",
            # What Gradio keeps of a visitor takes half a megabyte.
            state_session_capacity=100,
        )


async def _refuse_address(url: str, cache_dir: str) -> str:
    """In place of Gradio's own, which asks dns.google where an address leads, and fetches it."""
    raise ValueError("An address was given in place of a file. Upload the file itself.")
