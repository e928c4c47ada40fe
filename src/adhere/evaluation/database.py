"""SQLite files of a run: one process writes, any number read, and a batch is kept whole or not."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

_VERSION = 2
_SECONDS_TO_WAIT = 30.0
# Below this, SQLite's own small files may find no room, which it reports as a failed access.
_LITTLE_ROOM = 1 << 16
_CODES = {
    "database or disk is full": errno.ENOSPC,
    "attempt to write a readonly database": errno.EACCES,
    "unable to open database file": errno.EACCES,
    "disk I/O error": errno.EIO,
}


class Database:
    """A SQLite file.

    While a process writes, the file has a write-ahead log beside it, so that others can read. At
    rest it is one file, which can be read where nothing can be written.

    Args:
        path: of the file; it need not exist.
        schema: statements that create its tables.
        kept: a sentence for errors that says what a failed write left.
    """

    def __init__(self, path: Path, schema: str, kept: str) -> None:
        self.path, self._schema, self._kept = path, schema, kept
        self._connection: sqlite3.Connection | None = None

    def read(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """The rows that a query finds; none where the file does not exist yet.

        Raises:
            ValueError: the file is no database, or one of another version.
            OSError: it cannot be read.
        """
        if not self.path.exists():
            return []
        with self._telling(), closing(self._connected("ro")) as connection:
            if self._version(connection) == 0:
                return []
            return connection.execute(query, values).fetchall()

    def write(self, changes: Iterable[tuple[str, Sequence[Sequence[Any]]]]) -> None:
        """Makes changes in one transaction, inside `writing`.

        Args:
            changes: pairs of a statement and the rows of values that it is run with.

        Raises:
            OSError: the disk is full or cannot be written to; nothing has changed then.
        """
        assert self._connection is not None, "write needs a block of writing"
        with self._telling(), self._connection as connection:
            for statement, rows in changes:
                connection.executemany(statement, rows)

    @contextmanager
    def writing(self, name: str, who: str) -> Iterator[None]:
        """A block in which this process alone may call `write`.

        Args:
            name: of the lock file beside the database.
            who: what another holder of the lock is doing, for the error.

        Raises:
            ValueError: another process holds the lock.
            OSError: the folder cannot be written to, or the disk is full.
        """
        with self.locked(name, who):
            with self._telling():
                self._connection = self._connected("rwc")
                try:
                    self._create(self._connection)
                except BaseException:
                    self._connection.close()
                    raise
            try:
                yield
            finally:
                # Where others still read, or the disk is full, the log stays and loses nothing.
                with suppress(sqlite3.Error):
                    self._connection.execute("PRAGMA busy_timeout = 0")
                    # A connection that never looked at the log would leave a reader's behind.
                    self._version(self._connection)
                    self._connection.execute("PRAGMA journal_mode = DELETE")
                self._connection.close()
                self._connection = None

    @contextmanager
    def locked(self, name: str, who: str) -> Iterator[None]:
        """A block that one process at a time may be in; the arguments are those of `writing`."""
        import filelock

        with self._telling():
            lock = filelock.FileLock(self.path.parent / name)
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                raise ValueError(
                    f"Another process is {who}; wait until it ends, or choose another folder."
                ) from None
        try:
            yield
        finally:
            lock.release()

    def _connected(self, mode: str) -> sqlite3.Connection:
        address = f"{self.path.absolute().as_uri()}?mode={mode}"
        return sqlite3.connect(address, uri=True, timeout=_SECONDS_TO_WAIT)

    def _create(self, connection: sqlite3.Connection) -> None:
        if self._version(connection) == 0:
            connection.executescript(
                f"BEGIN; {self._schema} PRAGMA user_version = {_VERSION}; COMMIT;"
            )
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")

    def _version(self, connection: sqlite3.Connection) -> int:
        [(version,)] = connection.execute("PRAGMA user_version")
        if version not in (0, _VERSION):
            raise ValueError(
                f"{str(self.path)!r} has version {version}, and this version of adhere reads "
                f"{_VERSION}; use the adhere that wrote it, or choose another folder."
            )
        return version

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Errors name the file and say what happened to the rest."""
        try:
            with telling(self.path, self._kept):
                yield
        except sqlite3.OperationalError as error:
            code = _CODES.get(str(error))
            if code is None:
                raise self._broken(error) from None
            free = shutil.disk_usage(self.path.parent).free
            code = errno.ENOSPC if code == errno.EIO and free < _LITTLE_ROOM else code
            said = f"{os.strerror(code)}. {self._kept}"
            raise OSError(code, said, str(self.path)) from error
        except sqlite3.DatabaseError as error:
            raise self._broken(error) from None

    def _broken(self, error: Exception) -> ValueError:
        return ValueError(
            f"{str(self.path)!r} cannot be read ({error}); put it back as it was, or choose "
            "another folder."
        )


@contextmanager
def telling(path: Path, kept: str) -> Iterator[None]:
    """A block whose errors of the file system name a file and say what they left.

    Args:
        path: of the file.
        kept: the sentence.
    """
    try:
        yield
    except OSError as error:
        if error.filename == str(path) and kept in str(error.strerror):
            raise
        raise OSError(error.errno, f"{error.strerror}. {kept}", str(path)) from error
