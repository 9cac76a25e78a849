"""SQLite's own structures and numbers, as its C header has them (sqlite3.h): what a VFS is made of."""

from __future__ import annotations

import ctypes
from ctypes import CFUNCTYPE, POINTER, c_char_p, c_double, c_int, c_int64, c_long, c_void_p
from typing import Any, ClassVar

OK, BUSY, FULL, CANTOPEN, NOTFOUND = 0, 5, 13, 14, 12
IOERR_READ, IOERR_SHORT_READ, IOERR_WRITE, IOERR_FSYNC, IOERR_DIR_FSYNC = 266, 522, 778, 1034, 1290
IOERR_TRUNCATE, IOERR_FSTAT, IOERR_DELETE, IOERR_DELETE_NOENT = 1546, 1802, 2570, 5898

OPEN_CREATE, OPEN_MAIN_JOURNAL, OPEN_SUPER_JOURNAL, OPEN_WAL = 0x4, 0x800, 0x4000, 0x80000
IOCAP_POWERSAFE_OVERWRITE = 0x1000
SHM_UNLOCK, SHM_EXCLUSIVE = 1, 8


class Methods(ctypes.Structure):
    """sqlite3_io_methods, version 2: with shared memory, without mapped files."""


class File(ctypes.Structure):
    """sqlite3_file, with the number of our file behind it."""

    _fields_: ClassVar = [("methods", POINTER(Methods)), ("number", c_long)]


class Vfs(ctypes.Structure):
    """sqlite3_vfs, version 2."""


FileP, VfsP = POINTER(File), POINTER(Vfs)

FILE_FUNCTIONS: dict[str, Any] = {
    "close": CFUNCTYPE(c_int, FileP),
    "read": CFUNCTYPE(c_int, FileP, c_void_p, c_int, c_int64),
    "write": CFUNCTYPE(c_int, FileP, c_void_p, c_int, c_int64),
    "truncate": CFUNCTYPE(c_int, FileP, c_int64),
    "sync": CFUNCTYPE(c_int, FileP, c_int),
    "size": CFUNCTYPE(c_int, FileP, POINTER(c_int64)),
    "lock": CFUNCTYPE(c_int, FileP, c_int),
    "unlock": CFUNCTYPE(c_int, FileP, c_int),
    "is_reserved": CFUNCTYPE(c_int, FileP, POINTER(c_int)),
    "control": CFUNCTYPE(c_int, FileP, c_int, c_void_p),
    "sector_bytes": CFUNCTYPE(c_int, FileP),
    "characteristics": CFUNCTYPE(c_int, FileP),
    "shm_map": CFUNCTYPE(c_int, FileP, c_int, c_int, c_int, POINTER(c_void_p)),
    "shm_lock": CFUNCTYPE(c_int, FileP, c_int, c_int, c_int),
    "shm_barrier": CFUNCTYPE(None, FileP),
    "shm_unmap": CFUNCTYPE(c_int, FileP, c_int),
}
VFS_FUNCTIONS: dict[str, Any] = {
    "open": CFUNCTYPE(c_int, VfsP, c_char_p, FileP, c_int, POINTER(c_int)),
    "delete": CFUNCTYPE(c_int, VfsP, c_char_p, c_int),
    "access": CFUNCTYPE(c_int, VfsP, c_char_p, c_int, POINTER(c_int)),
    "full_path": CFUNCTYPE(c_int, VfsP, c_char_p, c_int, c_void_p),
    "dl_open": c_void_p,
    "dl_error": c_void_p,
    "dl_sym": c_void_p,
    "dl_close": c_void_p,
    "randomness": CFUNCTYPE(c_int, VfsP, c_int, c_void_p),
    "sleep": CFUNCTYPE(c_int, VfsP, c_int),
    "time": CFUNCTYPE(c_int, VfsP, POINTER(c_double)),
    "last_error": CFUNCTYPE(c_int, VfsP, c_int, c_void_p),
    "time_ms": CFUNCTYPE(c_int, VfsP, POINTER(c_int64)),
}
Methods._fields_ = [("version", c_int), *FILE_FUNCTIONS.items()]
Vfs._fields_ = [
    ("version", c_int),
    ("file_bytes", c_int),
    ("path_bytes", c_int),
    ("next", c_void_p),
    ("name", c_char_p),
    ("data", c_void_p),
    *VFS_FUNCTIONS.items(),
]
