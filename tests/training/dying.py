"""Dying at a chosen moment: whatever changes a file system is counted, and one of them is fatal."""

import builtins
import io
import os
import stat

NAMES = ("mkdir", "replace", "rename", "rmdir", "unlink")


class Killed(BaseException):
    """Stands for SIGKILL."""


class Dying:
    """Kills at the n-th change of the file system; a dead process changes nothing any more.

    Args:
        monkeypatch: Pytest's.
        moment: The number of the fatal change, from 1; 0 for none.
        before: Whether the fatal change does not happen any more. If so, a file that was opened for
            writing is left empty, and of what was to be brought to the disk half gets there, as in
            a power cut. If not, only changes of names count, and the fatal one is the last that
            happens.
    """

    def __init__(self, monkeypatch, moment, before=True):
        self.count, self.moment, self.before = 0, moment, before
        self.is_dead = False
        self._on_disk = {}
        for name in NAMES:
            monkeypatch.setattr(os, name, self._fatal(getattr(os, name)))
        if before:
            monkeypatch.setattr(os, "fsync", self._fsync)
            opened = self._fatal_open(io.open)
            monkeypatch.setattr(io, "open", opened)
            monkeypatch.setattr(builtins, "open", opened)

    def _is_moment(self):
        if self.is_dead:
            raise Killed
        self.count += 1
        self.is_dead = self.count == self.moment
        return self.is_dead

    def _fatal(self, change):
        def wrapper(*arguments, **options):
            if not self._is_moment():
                return change(*arguments, **options)
            if not self.before:
                change(*arguments, **options)
            raise Killed

        return wrapper

    def _fatal_open(self, opened):
        def wrapper(file, mode="r", *arguments, **options):
            if not set(mode) & set("wax+") or isinstance(file, int):
                return opened(file, mode, *arguments, **options)
            is_moment = self._is_moment()
            result = opened(file, mode, *arguments, **options)
            if is_moment:
                result.close()
                raise Killed
            return result

        return wrapper

    def _fsync(self, descriptor):
        is_moment = self._is_moment()
        status = os.fstat(descriptor)
        if is_moment:
            if stat.S_ISREG(status.st_mode):
                half = (self._on_disk.get(status.st_ino, 0) + status.st_size) // 2
                os.truncate(f"/proc/self/fd/{descriptor}", half)
            raise Killed
        self._on_disk[status.st_ino] = status.st_size
