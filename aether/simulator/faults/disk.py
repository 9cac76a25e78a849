"""What the daemon's disk does: it is full, short of room, fails an operation or a sync, or takes its time."""

from __future__ import annotations

from aether.domain.values import NANOS_PER_MS
from aether.sim.disk import Fault as DiskFault
from aether.sim.disk import Operation, Stall
from aether.simulator.faults.tally import Acts, Tally
from aether.simulator.plan import Fault
from aether.simulator.world import World

_WRITES = frozenset({"write", "truncate"})


class DiskFaults:
    """Acts on the world's disk, whichever it is at that moment. What struck is counted when it does."""

    def __init__(self, world: World, tally: Tally, reserve_bytes: int) -> None:
        """`reserve_bytes` is the free space below which the daemon must open no new risk."""
        self._world = world
        self._tally = tally
        self._reserve_bytes = reserve_bytes
        self._roomy_bytes = world.disk.capacity_bytes
        self._full_until_ns = 0
        self._full_for_ns = 0
        self._stalls_until_ns = 0
        self._stall = Stall(0)
        self._next: dict[str, str] = {}  # of the next operation of this sort, the fault that it meets
        world.disk_trouble = self._meet

    def acts(self) -> Acts:
        """By kind."""
        return {
            "disk_full": self._fill,
            "low_space": self._shrink,
            "io_error": self._fail_next,
            "failed_fsync": self._fail_next,
            "disk_stall": self._begin_stall,
        }

    def calm(self) -> None:
        """The disk is well and has room."""
        self._full_until_ns = self._full_for_ns = self._stalls_until_ns = 0
        self._next.clear()
        self._world.disk.capacity_bytes = self._roomy_bytes

    def _fill(self, fault: Fault) -> bool:
        """Its time begins with the first write that it meets."""
        self._full_for_ns = fault.parameters["for_ms"] * NANOS_PER_MS
        return False

    def _shrink(self, fault: Fault) -> bool:
        disk = self._world.disk
        used = disk.capacity_bytes - disk.free_bytes()
        disk.capacity_bytes = used + self._reserve_bytes // 2
        self._world.agenda.after(fault.parameters["for_ms"] * NANOS_PER_MS, self._make_room)
        return True

    def _make_room(self) -> None:
        self._world.disk.capacity_bytes = self._roomy_bytes

    def _fail_next(self, fault: Fault) -> bool:
        self._next["sync" if fault.kind == "failed_fsync" else "write"] = fault.kind
        return False

    def _begin_stall(self, fault: Fault) -> bool:
        self._stall = Stall(fault.parameters["by_ms"] * NANOS_PER_MS)
        self._stalls_until_ns = self._world.agenda.now_ns + fault.parameters["for_ms"] * NANOS_PER_MS
        self._tally.struck("disk_stall")
        return False

    def _meet(self, operation: Operation) -> DiskFault | Stall | None:
        """What an operation of the disk meets. A journal that cannot be written ends the daemon: no rule is broken."""
        now_ns = self._world.agenda.now_ns
        sort = "write" if operation.kind in _WRITES else "sync" if operation.kind == "sync" else ""
        if sort == "write" and self._full_for_ns:
            self._full_until_ns, self._full_for_ns = now_ns + self._full_for_ns, 0
        if sort == "write" and now_ns < self._full_until_ns:
            return self._struck("disk_full", DiskFault.FULL)
        if sort and sort in self._next:
            return self._struck(self._next.pop(sort), DiskFault.ERROR)
        return self._stall if sort and now_ns < self._stalls_until_ns else None

    def _struck(self, kind: str, fault: DiskFault) -> DiskFault:
        self._tally.struck(kind)
        self._world.may_fail = True
        return fault
