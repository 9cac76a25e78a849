"""Lines to a stream that may be slow, full or gone, without the loop ever waiting for it."""

from __future__ import annotations

import queue
import threading
from typing import TextIO

LINES_WAITING_MAX = 10_000


class LineWriter:
    """One thread writes; whoever logs only hands over. Where the reader is too slow, lines are lost and counted."""

    def __init__(self, stream: TextIO, *, lines_max: int = LINES_WAITING_MAX) -> None:
        self._stream = stream
        self._lines: queue.Queue[str | None] = queue.Queue(lines_max)
        self._thread = threading.Thread(target=self._write_all, name="log", daemon=True)
        self._thread.start()
        self.lost = 0

    def put(self, line: str) -> None:
        """Hand over one line, without its end. Never waits, never raises."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self.lost += 1

    def close(self, wait_s: float) -> None:
        """Write what waits, for at most so many seconds; the last word tells how much was lost."""
        if self.lost:
            self.put(f'{{"level":"error","event":"log.lost","lines":{self.lost}}}')
        try:
            self._lines.put(None, timeout=wait_s)
        except queue.Full:
            return  # nobody reads; the thread is a daemon and ends with the process
        self._thread.join(wait_s)

    def _write_all(self) -> None:
        while (line := self._lines.get()) is not None:
            try:
                self._stream.write(line + "\n")
                if self._lines.empty():
                    self._stream.flush()
            except (OSError, ValueError):  # the pipe's reader is gone, or the stream is closed
                self.lost += 1
