"""Files of an exported run: links to its images, or copies, and texts."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from adhere.evaluation.outcomes import Row
from adhere.evaluation.store import Store


def place_image(store: Store, row: Row, target: Path, copy: bool) -> None:
    """A picture at its place, linked or copied; a link on disk to the same bytes."""
    source = store.path(row.unit)
    target.parent.mkdir(parents=True, exist_ok=True)
    if not copy:
        try:
            os.link(source.resolve(), target)
            return
        except OSError as error:
            # Another disk, or a file system without links.
            if error.errno not in _NO_LINKS:
                raise
    shutil.copyfile(source, target)


_NO_LINKS = (errno.EXDEV, errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EACCES)


def write_text(path: Path, text: str) -> None:
    """Writes a text, and waits until it is on disk."""
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
