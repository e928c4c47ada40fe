"""Files that appear whole or not at all."""

import os
from contextlib import suppress
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file; a kill at any moment leaves the former one, or the new one.

    What was being written stands beside it, as ".<name>.part", and is taken away when writing
    fails. Only one process may write a file at a time.

    Raises:
        OSError: it cannot be written; the former one is as it was.
    """
    unfinished = path.with_name(f".{path.name}.part")
    try:
        with open(unfinished, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
