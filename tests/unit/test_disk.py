"""The made disk under the stock sqlite3 module: what it keeps, what it loses, and how it fails."""

from __future__ import annotations

import ctypes
import gc
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from random import Random

import pytest

from aether.sim import disk_vfs
from aether.sim.disk import Disk, Fault, Hook, Operation, PowerLoss, Stall
from aether.sim.disk_vfs import DiskUnavailable
from aether.sim.medium import SECTOR_BYTES, Directory, Loss, Node, Truncate, Write
from aether.sim.wal_index import WalIndex

SEEDS = range(40)


@pytest.fixture
def sqlite() -> None:
    """For tests that need the stock module to see a made disk."""
    try:
        Disk().uri("probe")
    except DiskUnavailable as error:
        pytest.skip(str(error))


@contextmanager
def opened(disk: Disk, name: str = "a.db") -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(disk.uri(name), uri=True, isolation_level=None)) as database:
        for pragma in ("synchronous=EXTRA", "journal_mode=WAL", "synchronous=FULL"):
            database.execute(f"PRAGMA {pragma}").fetchall()
        database.execute("CREATE TABLE IF NOT EXISTS t (x INTEGER, y BLOB)")
        yield database


def put(database: sqlite3.Connection, *numbers: int) -> None:
    for number in numbers:
        database.execute("INSERT INTO t VALUES (?, ?)", (number, b"x" * 1500))


def held(disk: Disk, name: str = "a.db") -> list[int]:
    with opened(disk, name) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [x for (x,) in database.execute("SELECT x FROM t ORDER BY x")]


def failing(fault: Fault | Stall, when: Callable[[Operation], bool]) -> Hook:
    return lambda operation: fault if when(operation) else None


def cut_at(number: int) -> Hook:
    def hook(operation: Operation) -> None:
        if operation.number >= number:
            raise PowerLoss

    return hook


# --- contents -----------------------------------------------------------------------------------------------------


def written(*changes: Write | Truncate, synced: bytes = b"") -> Node:
    node = Node(bytearray(synced), bytearray(synced))
    for change in changes:
        node.change(change)
    return node


def ends(node: Node, loss: Loss) -> set[bytes]:
    return {bytes(node.after(loss, Random(seed)).live) for seed in SEEDS}


def test_what_was_synced_survives_every_loss() -> None:
    node = written(Write(0, b"abc"), Write(1, b"xyz"), Truncate(3))
    node.settle()

    assert {end for loss in Loss for end in ends(node, loss)} == {b"axy"}


def test_a_power_cut_takes_what_was_not_synced_as_its_pattern_says() -> None:
    node = written(Write(0, b"1"), Write(1, b"2"), Write(2, b"3"), synced=b"___")

    assert ends(node, Loss.NONE) == {b"123"}
    assert ends(node, Loss.ALL) == {b"___"}
    assert ends(node, Loss.NEWEST) == {b"___", b"1__", b"12_", b"123"}
    assert ends(node, Loss.OLDEST) == {b"___", b"__3", b"_23", b"123"}
    assert len(ends(node, Loss.DRAWN)) == 8
    assert bytes(node.live) == b"123"


def test_a_write_is_torn_at_the_sectors_of_the_file() -> None:
    size = 3 * SECTOR_BYTES
    node = written(Write(SECTOR_BYTES // 2, b"n" * 2 * SECTOR_BYTES), synced=b"o" * size)

    torn = [content for content in ends(node, Loss.DRAWN) if 0 < content.count(b"n") < 2 * SECTOR_BYTES]
    assert torn
    for content in torn:
        edges = [i for i in range(1, size) if content[i] != content[i - 1]]
        assert {edge % SECTOR_BYTES for edge in edges} <= {0, SECTOR_BYTES // 2}


def test_a_lost_truncation_leaves_the_old_end() -> None:
    assert ends(written(Truncate(1), synced=b"abc"), Loss.DRAWN) == {b"a", b"abc"}


# --- names --------------------------------------------------------------------------------------------------------


def names_after(directory: Directory, loss: Loss) -> set[tuple[str, ...]]:
    return {tuple(sorted(directory.after(loss, Random(seed)).live)) for seed in SEEDS}


@pytest.mark.parametrize(
    ("strict", "drawn"),
    [
        (False, {(), ("a",), ("a", "b")}),
        (True, {(), ("a",), ("b",), ("a", "b")}),
    ],
)
def test_names_are_lost_in_order_or_each_by_itself(*, strict: bool, drawn: set[tuple[str, ...]]) -> None:
    directory = Directory({}, strict=strict)
    for name in ("a", "b"):
        directory.change(((name, Node()),))

    assert names_after(directory, Loss.DRAWN) == drawn
    assert names_after(directory, Loss.NONE) == {("a", "b")}
    assert names_after(directory, Loss.ALL) == {()}


def test_what_was_unlinked_may_come_back_until_the_directory_is_synced() -> None:
    disk = Disk()
    disk.make("a")
    disk.delete("a")
    assert disk.read("a") is None
    again = Directory({"a": Node()}, strict=True)
    again.change((("a", None),))

    assert names_after(again, Loss.DRAWN) == {(), ("a",)}
    again.settle()
    assert names_after(again, Loss.DRAWN) == {()}


@pytest.mark.parametrize(("strict", "survives"), [(False, True), (True, False)])
def test_a_sync_of_a_file_brings_its_name_along_where_names_are_kept_in_order(*, strict: bool, survives: bool) -> None:
    disk = Disk(strict=strict)
    file = disk.open_file("a", create=True)
    file.write(b"abc", 0)
    file.sync()

    assert disk.crash(Random(1), Loss.ALL).read("a") == (b"abc" if survives else None)


@pytest.mark.parametrize("strict", [False, True])
def test_a_file_that_is_replaced_is_the_old_or_the_new_one(*, strict: bool) -> None:
    found = set()
    for number in range(1, 9):
        for seed in SEEDS:
            disk = Disk(strict=strict)
            disk.replace("mark", b"old")
            disk.hook = cut_at(disk.operations + number)
            with pytest.raises(OSError, match="EIO") if number < 7 else contextmanager(lambda: iter([None]))():
                disk.replace("mark", b"new")
            found.add((number < 7, disk.crash(Random(seed)).read("mark")))

    assert found == {(True, b"old"), (True, b"new"), (False, b"new")}


# --- SQLite on it ---------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("sqlite")
@pytest.mark.parametrize("loss", Loss)
def test_committed_rows_survive_a_power_cut_g05(loss: Loss) -> None:
    disk = Disk()
    with opened(disk) as database:
        put(database, 1, 2, 3)
        database.execute("BEGIN")
        put(database, 4)
        found = disk.crash(Random(1), loss)
        with pytest.raises(sqlite3.OperationalError, match="disk I/O"):
            database.execute("COMMIT")

    assert held(found) == [1, 2, 3]


@pytest.mark.usefixtures("sqlite")
def test_a_dead_life_cannot_touch_the_next_one() -> None:
    disk = Disk()
    with opened(disk) as database:
        put(database, 1)
        found = disk.crash(Random(1))
        with pytest.raises(sqlite3.OperationalError):
            put(database, 2)
        assert disk.is_dead
        assert held(found) == [1]

    assert held(found) == [1]
    with pytest.raises(sqlite3.OperationalError), opened(disk):
        pass


@pytest.mark.usefixtures("sqlite")
def test_the_death_of_a_process_takes_nothing_that_was_written() -> None:
    disk = Disk()
    with opened(disk) as database:
        database.execute("PRAGMA synchronous=OFF")
        put(database, 1, 2)
        found = disk.kill()

    assert held(found) == [1, 2]


@pytest.mark.usefixtures("sqlite")
def test_several_disks_are_used_at_once() -> None:
    one, other = Disk(), Disk()
    with opened(one) as database, opened(other) as second:
        put(database, 1)
        put(second, 2)

    assert (held(one), held(other)) == ([1], [2])


@pytest.mark.usefixtures("sqlite")
def test_a_disk_that_nobody_holds_is_gone() -> None:
    disk = Disk()
    uri = disk.uri("a.db")
    del disk
    gc.collect()

    with pytest.raises(sqlite3.OperationalError, match="unable to open"):
        sqlite3.connect(uri, uri=True)


@pytest.mark.usefixtures("sqlite")
def test_two_connections_share_the_log_and_one_at_a_time_writes_g01() -> None:
    disk = Disk()
    with opened(disk) as database, closing(sqlite3.connect(disk.uri("a.db"), uri=True, timeout=0)) as second:
        put(database, 1)
        assert second.execute("SELECT x FROM t").fetchall() == [(1,)]
        database.execute("BEGIN IMMEDIATE")
        put(database, 2)
        with pytest.raises(sqlite3.OperationalError, match="database is locked"):
            second.execute("BEGIN IMMEDIATE")
        database.execute("COMMIT")
        assert second.execute("SELECT x FROM t").fetchall() == [(1,), (2,)]

    assert held(disk.crash(Random(1), Loss.ALL)) == [1, 2]


@pytest.mark.usefixtures("sqlite")
def test_a_connection_alone_needs_no_shared_memory() -> None:
    disk = Disk()
    with closing(sqlite3.connect(disk.uri("a.db"), uri=True, timeout=0)) as database:
        database.execute("PRAGMA locking_mode=EXCLUSIVE").fetchall()
        database.execute("PRAGMA journal_mode=WAL").fetchall()
        database.execute("CREATE TABLE t (x)")
        with (
            closing(sqlite3.connect(disk.uri("a.db"), uri=True, timeout=0)) as second,
            pytest.raises(sqlite3.OperationalError, match="locked"),
        ):
            second.execute("SELECT * FROM t")


def test_locks_of_the_log_exclude_each_other() -> None:
    index = WalIndex()
    assert index.lock(1, range(2), exclusive=False)
    assert index.lock(2, range(1, 3), exclusive=False)
    assert not index.lock(1, range(2), exclusive=True)
    index.leave(2)
    assert index.lock(1, range(2), exclusive=True)
    assert not index.lock(2, range(1, 3), exclusive=False)
    index.unlock(1, range(2))
    assert index.lock(2, range(1, 3), exclusive=True)


@pytest.mark.usefixtures("sqlite")
def test_a_reader_and_a_writer_share_a_file_as_their_locks_allow() -> None:
    disk = Disk()
    connect = [sqlite3.connect(disk.uri("b.db"), uri=True, timeout=0, isolation_level=None) for _ in range(2)]
    with closing(connect[0]) as writer, closing(connect[1]) as reader:
        writer.execute("CREATE TABLE t (x)")
        reader.execute("BEGIN")
        assert reader.execute("SELECT * FROM t").fetchall() == []
        writer.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            reader.execute("INSERT INTO t VALUES (1)")
        writer.execute("INSERT INTO t VALUES (2)")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            writer.execute("COMMIT")
        reader.execute("COMMIT")
        writer.execute("COMMIT")
        assert reader.execute("SELECT * FROM t").fetchall() == [(2,)]


# --- faults -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("sqlite")
@pytest.mark.parametrize(
    ("kind", "fault", "told"),
    [
        ("write", Fault.ERROR, "SQLITE_IOERR_WRITE"),
        ("write", Fault.FULL, "SQLITE_FULL"),
        ("write", Fault.SHORT, "SQLITE_FULL"),
        ("sync", Fault.ERROR, "SQLITE_IOERR_FSYNC"),
    ],
)
def test_sqlite_hears_of_a_fault_by_its_name_and_loses_nothing_g02_g03(kind: str, fault: Fault, told: str) -> None:
    disk = Disk()
    with opened(disk) as database:
        put(database, 1)
        disk.hook = failing(fault, lambda operation: operation.kind == kind)
        with pytest.raises(sqlite3.OperationalError) as failure:
            put(database, 2)
        assert failure.value.sqlite_errorname == told
        disk.hook = None

    assert held(disk.crash(Random(1), Loss.ALL)) == [1]


@pytest.mark.usefixtures("sqlite")
@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("open", "SQLITE_CANTOPEN"),
        ("read", "SQLITE_IOERR_READ"),
        ("truncate", "SQLITE_IOERR_TRUNCATE"),
        ("delete", "SQLITE_IOERR_DELETE"),
        ("sync_directory", "SQLITE_IOERR_DIR_FSYNC"),
    ],
)
def test_every_operation_may_fail(kind: str, told: str) -> None:
    disk = Disk()
    with closing(sqlite3.connect(disk.uri("a.db"), uri=True, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous=EXTRA")
        if kind == "truncate":
            database.execute("PRAGMA journal_mode=TRUNCATE")
        database.execute("CREATE TABLE t (x INTEGER, y BLOB)")
        database.execute("PRAGMA cache_size=1")
        # The directory's sync that counts is the one after the journal is gone: that of the new journal is a nicety.
        deleted: list[Operation] = []

        def hook(operation: Operation) -> Fault | None:
            deleted.extend([operation] if operation.kind == "delete" else [])
            due = kind != "sync_directory" or deleted
            return Fault.ERROR if operation.kind == kind and due else None

        disk.hook = hook
        with pytest.raises(sqlite3.OperationalError) as failure:
            put(database, 1)
        disk.hook = None

    assert failure.value.sqlite_errorname == told


def test_a_failed_sync_has_lost_its_data_and_the_next_one_lies_g03() -> None:
    disk = Disk()
    disk.make("a")
    file = disk.open_file("a", create=False)
    file.write(b"abc", 0)
    disk.hook = failing(Fault.ERROR, lambda operation: operation.kind == "sync")
    with pytest.raises(OSError, match="EIO"):
        file.sync()
    disk.hook = None
    file.sync()

    assert disk.read("a") == b"abc"
    assert disk.crash(Random(1), Loss.NONE).read("a") == b""


def test_a_failed_sync_of_the_directory_has_lost_the_names() -> None:
    disk = Disk(strict=True)
    disk.open_file("a", create=True)
    disk.hook = failing(Fault.ERROR, lambda operation: operation.kind == "sync_directory")
    with pytest.raises(OSError, match="EIO"):
        disk.sync_directory()
    disk.hook = None
    disk.sync_directory()

    assert disk.crash(Random(1), Loss.NONE).read("a") is None


def test_a_disk_takes_what_it_has_room_for_g02() -> None:
    disk = Disk(capacity_bytes=10)
    file = disk.open_file("a", create=True)
    file.write(b"123456", 0)
    assert disk.free_bytes() == 4
    with pytest.raises(OSError, match="ENOSPC"):
        file.write(b"abcdefgh", 4)
    assert disk.read("a") == b"1234abcdef"
    file.write(b"0123456789", 0)
    with pytest.raises(OSError, match="ENOSPC"):
        disk.open_file("b", create=True).write(b"x", 0)

    disk.delete("a")
    assert disk.free_bytes() == 10


@pytest.mark.usefixtures("sqlite")
def test_a_database_that_outgrows_its_disk_keeps_what_was_committed_g02() -> None:
    disk = Disk(capacity_bytes=100_000)
    with opened(disk) as database:
        with pytest.raises(sqlite3.OperationalError, match="full"):
            put(database, *range(1, 1000))
        ((last,),) = database.execute("SELECT max(x) FROM t").fetchall()

    assert 5 < last < 100
    found = disk.crash(Random(1))
    found.capacity_bytes = 200_000
    assert held(found) == [*range(1, last + 1)]


def test_a_stall_is_counted_and_the_operation_done() -> None:
    disk = Disk()
    disk.hook = failing(Stall(5_000_000), lambda operation: operation.kind == "write")
    file = disk.open_file("a", create=True)
    file.write(b"a", 0)
    file.write(b"b", 1)

    assert disk.read("a") == b"ab"
    assert disk.stalled_ns == 10_000_000


def test_operations_are_numbered_and_syncs_counted() -> None:
    disk, seen = Disk(), list[Operation]()
    disk.hook = seen.append
    disk.make("a")
    disk.read("a")

    assert [(operation.number, operation.kind, operation.name) for operation in seen] == [
        (1, "open", "a"),
        (2, "sync", "a"),
        (3, "sync_directory", ""),
        (4, "open", "a"),
        (5, "read", "a"),
    ]
    assert [operation.changes for operation in seen] == [True, True, True, True, False]
    assert (disk.operations, disk.syncs) == (5, 2)


def test_a_broken_hook_kills_the_disk_and_is_heard_of() -> None:
    disk = Disk()

    def hook(_: Operation) -> None:
        raise ZeroDivisionError

    disk.hook = hook
    with pytest.raises(ZeroDivisionError):
        disk.make("a")
    assert disk.is_dead


LEFT_OPEN = """
import sqlite3
from aether.sim.disk import Disk
disk = Disk()
database = sqlite3.connect(disk.uri("a.db"), uri=True, isolation_level=None)
database.execute("PRAGMA journal_mode=WAL").fetchall()
database.execute("CREATE TABLE t (x)")
"""


@pytest.mark.usefixtures("sqlite")
def test_a_connection_that_is_open_when_python_ends_disturbs_nobody() -> None:
    ran = subprocess.run([sys.executable, "-c", LEFT_OPEN], capture_output=True, text=True, check=True)

    assert (ran.stdout, ran.stderr) == ("", "")


# --- the way into the library ---------------------------------------------------------------------------------------


def test_an_sqlite_that_hides_its_functions_is_said_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())

    with pytest.raises(DiskUnavailable, match="hides its functions"):
        disk_vfs._Table()


def test_an_sqlite_that_is_not_the_one_of_the_module_is_said_clearly(monkeypatch: pytest.MonkeyPatch) -> None:
    class Other:
        def sqlite3_vfs_register(self, *_: object) -> int:
            return 0

    monkeypatch.setattr(ctypes, "CDLL", lambda _: Other())
    monkeypatch.setattr(disk_vfs, "VFS_NAME", "never-registered")

    with pytest.raises(DiskUnavailable, match="another SQLite"):
        disk_vfs._Table()
