"""Lets the stock sqlite3 module keep its files on a made volume: a VFS, registered in the very library it runs on.

SQLite reaches files through a table of functions that a program may bring itself (SQLite docs, "The OS backend (VFS)
to SQLite"). Python's module offers no way in, but the library it links does, and what ctypes registers there is known
to `sqlite3.connect("file:...?vfs=...")`. Where Python carries an SQLite that hides its functions there is no such way.

The functions below do what those of SQLite's own `os_unix.c` do, call by call, above the volume: which file is synced
with its directory, what counts as being there, and which failure is which result code.
"""

from __future__ import annotations

import _sqlite3
import atexit
import ctypes
import errno
import sqlite3
from collections.abc import Callable
from contextlib import closing
from ctypes import POINTER, c_void_p
from functools import cache, wraps
from itertools import count
from typing import Any, Protocol
from weakref import WeakValueDictionary

from aether.domain.errors import AetherError
from aether.sim import sqlite_abi as abi
from aether.sim.wal_index import WalIndex

VFS_NAME = "aether-disk"

_SYNCED_WITH_NAME = abi.OPEN_MAIN_JOURNAL | abi.OPEN_SUPER_JOURNAL | abi.OPEN_WAL  # os_unix.c, unixOpen
_SECTOR_BYTES = 4096  # what os_unix.c tells; a made disk tears smaller ones
_PATH_BYTES = 512


class DiskUnavailable(AetherError):
    """This Python's SQLite takes no VFS from outside: it is linked statically and hides its functions."""


class VolumeFile(Protocol):
    """One open file. Everything raises OSError: EIO, or ENOSPC for a volume without room."""

    def read(self, size: int, offset: int) -> bytes:
        """Up to `size` bytes; fewer at the end."""
        ...

    def write(self, data: bytes, offset: int) -> None:
        """Put bytes; a gap before them is zeros."""
        ...

    def truncate(self, size: int) -> None:
        """Cut to this size."""
        ...

    def sync(self) -> None:
        """On the medium when this returns."""
        ...

    def size(self) -> int:
        """Bytes."""
        ...

    def lock(self, level: int) -> bool:
        """Take SQLite's lock of this level; False where another holds one against it."""
        ...

    def unlock(self, level: int) -> None:
        """Fall back to this level."""
        ...

    def is_reserved(self) -> bool:
        """Does anyone mean to write?"""
        ...

    def close(self) -> None:
        """Give up locks. Never raises."""
        ...


class Volume(Protocol):
    """A flat directory of files."""

    def open_file(self, name: str, *, create: bool) -> VolumeFile:
        """The file; `create` makes one where there is none. Raises OSError."""
        ...

    def delete(self, name: str) -> None:
        """Unlink. Raises FileNotFoundError, OSError."""
        ...

    def sync_directory(self) -> None:
        """Names are on the medium when this returns. Raises OSError."""
        ...

    def size_of(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""
        ...


def attach(volume: Volume) -> int:
    """Let SQLite see this volume, for as long as somebody holds it; its number. Raises DiskUnavailable."""
    return _vfs().attach(volume)


def uri_of(number: int, name: str) -> str:
    """What `sqlite3.connect(..., uri=True)` calls a file on an attached volume."""
    return f"file:/{number}/{name}?vfs={VFS_NAME}"


# --- the table ----------------------------------------------------------------------------------------------------


def _coded(failure: int) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Turn OSError into SQLite's code: FULL for a volume without room, else `failure`."""

    def coded(function: Callable[..., int]) -> Callable[..., int]:
        @wraps(function)
        def call(*arguments: Any) -> int:
            try:
                return function(*arguments)
            except OSError as error:
                return abi.FULL if error.errno == errno.ENOSPC else failure

        return call

    return coded


class _Table:
    """The functions that SQLite calls, and the volumes and open files that they act on. There is one for a process."""

    def __init__(self) -> None:
        self._volumes: WeakValueDictionary[int, Volume] = WeakValueDictionary()
        self._files: dict[int, VolumeFile] = {}
        self._names_to_sync: dict[int, Volume] = {}  # of files whose next sync is their directory's, too
        self._paths: dict[int, bytes] = {}
        self._indexes: dict[bytes, WalIndex] = {}
        self._numbers = count(1)
        self._is_over = False
        atexit.register(self._end)
        file_functions = {name: kind(self._until_exit(f"_{name}")) for name, kind in abi.FILE_FUNCTIONS.items()}
        self._methods = abi.Methods(version=2, **file_functions)
        vfs_functions = {
            name: kind(self._until_exit(f"_{name}")) for name, kind in abi.VFS_FUNCTIONS.items() if kind is not c_void_p
        }
        self._vfs = abi.Vfs(
            version=2,
            file_bytes=ctypes.sizeof(abi.File),
            path_bytes=_PATH_BYTES,
            name=VFS_NAME.encode(),
            **vfs_functions,
        )
        self._register()

    def _until_exit(self, name: str) -> Callable[..., int | None]:
        """A function of the table. While Python is taken down it does nothing: what it would need may be gone."""
        function: Callable[..., int | None] = getattr(self, name)
        return lambda *arguments: 0 if self._is_over else function(*arguments)

    def _end(self) -> None:
        self._is_over = True

    def _register(self) -> None:
        # The symbols of what _sqlite3 itself links: found through it, they are the right library's whatever its name.
        try:
            register = ctypes.CDLL(getattr(_sqlite3, "__file__", None)).sqlite3_vfs_register
        except (OSError, AttributeError) as error:
            raise DiskUnavailable(f"this Python's SQLite hides its functions ({error})") from error
        register(ctypes.byref(self._vfs), 0)
        try:
            with closing(sqlite3.connect(f"file:/0/probe?vfs={VFS_NAME}", uri=True)):
                pass
        except sqlite3.OperationalError as error:
            if "no such vfs" in str(error):
                raise DiskUnavailable("this Python runs another SQLite than the one it links") from error

    def attach(self, volume: Volume) -> int:
        number = next(self._numbers)
        self._volumes[number] = volume
        return number

    def _find(self, path: bytes) -> tuple[Volume, str]:
        number, _, name = path.decode().lstrip("/").partition("/")
        volume = self._volumes.get(int(number))
        if volume is None:
            raise FileNotFoundError(errno.ENOENT, f"no volume {number}")
        return volume, name

    # What SQLite calls with a file.

    def _close(self, file: Any) -> int:
        number = file.contents.number
        self._names_to_sync.pop(number, None)
        del self._paths[number]
        self._files.pop(number).close()
        return abi.OK

    @_coded(abi.IOERR_READ)
    def _read(self, file: Any, buffer: int, size: int, offset: int) -> int:
        data = self._files[file.contents.number].read(size, offset)
        ctypes.memmove(buffer, data, len(data))
        if len(data) == size:
            return abi.OK
        ctypes.memset(buffer + len(data), 0, size - len(data))
        return abi.IOERR_SHORT_READ

    @_coded(abi.IOERR_WRITE)
    def _write(self, file: Any, buffer: int, size: int, offset: int) -> int:
        self._files[file.contents.number].write(ctypes.string_at(buffer, size), offset)
        return abi.OK

    @_coded(abi.IOERR_TRUNCATE)
    def _truncate(self, file: Any, size: int) -> int:
        self._files[file.contents.number].truncate(size)
        return abi.OK

    @_coded(abi.IOERR_FSYNC)
    def _sync(self, file: Any, _: int) -> int:
        self._files[file.contents.number].sync()
        volume = self._names_to_sync.pop(file.contents.number, None)
        if volume is not None:
            _sync_if_possible(volume)
        return abi.OK

    @_coded(abi.IOERR_FSTAT)
    def _size(self, file: Any, out: Any) -> int:
        out[0] = self._files[file.contents.number].size()
        return abi.OK

    def _lock(self, file: Any, level: int) -> int:
        return abi.OK if self._files[file.contents.number].lock(level) else abi.BUSY

    def _unlock(self, file: Any, level: int) -> int:
        self._files[file.contents.number].unlock(level)
        return abi.OK

    def _is_reserved(self, file: Any, out: Any) -> int:
        out[0] = int(self._files[file.contents.number].is_reserved())
        return abi.OK

    def _control(self, *_: Any) -> int:
        return abi.NOTFOUND

    def _sector_bytes(self, _: Any) -> int:
        return _SECTOR_BYTES

    def _characteristics(self, _: Any) -> int:
        return abi.IOCAP_POWERSAFE_OVERWRITE  # a write harms no byte beside it: SQLite's own belief about disks

    def _shm_map(self, file: Any, region: int, size: int, extend: int, out: Any) -> int:
        number = file.contents.number
        index = self._indexes.setdefault(self._paths[number], WalIndex())
        index.users.add(number)
        out[0] = index.region(region, size, extend=bool(extend))
        return abi.OK

    def _shm_lock(self, file: Any, first: int, count: int, flags: int) -> int:
        number = file.contents.number
        index, slots = self._indexes[self._paths[number]], range(first, first + count)
        if flags & abi.SHM_UNLOCK:
            index.unlock(number, slots)
            return abi.OK
        return abi.OK if index.lock(number, slots, exclusive=bool(flags & abi.SHM_EXCLUSIVE)) else abi.BUSY

    def _shm_barrier(self, _: Any) -> None:
        pass  # one thread at a time runs Python, and so all of this

    def _shm_unmap(self, file: Any, _: int) -> int:
        number = file.contents.number
        index = self._indexes.get(self._paths[number])
        if index is not None:
            index.leave(number)
            if not index.users:
                del self._indexes[self._paths[number]]
        return abi.OK

    # What SQLite calls with a name.

    def _open(self, _: Any, path: bytes | None, file: Any, flags: int, flags_out: Any) -> int:
        path = path or b"/0/"  # a temporary file, which no statement of a journal needs: there is no such volume
        file.contents.methods = POINTER(abi.Methods)()  # where opening fails SQLite must not close
        try:
            volume, name = self._find(path)
            opened = volume.open_file(name, create=bool(flags & abi.OPEN_CREATE))
        except OSError:
            return abi.CANTOPEN
        number = next(self._numbers)
        self._files[number], self._paths[number] = opened, path
        if flags & abi.OPEN_CREATE and flags & _SYNCED_WITH_NAME:
            self._names_to_sync[number] = volume
        file.contents.methods, file.contents.number = ctypes.pointer(self._methods), number
        if flags_out:
            flags_out[0] = flags
        return abi.OK

    @_coded(abi.IOERR_DELETE)
    def _delete(self, _: Any, path: bytes, with_directory: int) -> int:
        volume, name = self._find(path)
        try:
            volume.delete(name)
        except FileNotFoundError:
            return abi.IOERR_DELETE_NOENT
        if with_directory:
            try:
                volume.sync_directory()
            except OSError:
                return abi.IOERR_DIR_FSYNC
        return abi.OK

    def _access(self, _: Any, path: bytes, __: int, out: Any) -> int:
        try:
            volume, name = self._find(path)
            out[0] = int(bool(volume.size_of(name)))  # an empty file is none: as in os_unix.c, unixAccess
        except OSError:
            out[0] = 0
        return abi.OK

    def _full_path(self, _: Any, path: bytes, __: int, out: int) -> int:
        ctypes.memmove(out, path + b"\0", len(path) + 1)
        return abi.OK

    def _randomness(self, _: Any, size: int, out: int) -> int:
        ctypes.memset(out, 0, size)  # SQLite asks its default VFS, not this one
        return size

    def _sleep(self, _: Any, micros: int) -> int:
        return micros

    def _time(self, _: Any, out: Any) -> int:
        out[0] = 2440587.5  # 1970 in Julian days: the journal asks SQLite for no time
        return abi.OK

    def _time_ms(self, _: Any, out: Any) -> int:
        out[0] = 210_866_760_000_000
        return abi.OK

    def _last_error(self, *_: Any) -> int:
        return abi.OK


def _sync_if_possible(volume: Volume) -> None:
    try:
        volume.sync_directory()
    except OSError:
        return  # os_unix.c, unixSync, goes on, too


@cache
def _vfs() -> _Table:
    return _Table()
