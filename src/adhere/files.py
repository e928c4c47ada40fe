"""Files that appear whole or not at all, and lines that do."""

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


def append_whole(path: Path, data: bytes) -> None:
    """Appends to a file; where that fails, the file is as it was.

    A kill may leave a part of it, so what follows the last newline is not to be trusted.

    Raises:
        OSError: it cannot be written.
    """
    # A buffer would be written once more on closing, after part of it was taken back.
    with open(path, "ab", buffering=0) as file:
        before = file.tell()
        try:
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())
        except BaseException:
            # Later lines must not be joined to a part of these.
            os.truncate(path, before)
            raise
