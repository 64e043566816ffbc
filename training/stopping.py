"""What ends a run before its end; without TensorFlow, for what catches it is there before that."""

import signal


class Diverged(RuntimeError):
    """A loss, a gradient, a weight or an output of the network that is not a finite number."""


class Stopped(Exception):
    """Ends a run at a place where it can be saved, because a signal asked for it.

    Attributes:
        status: The exit status, which by custom is 128 plus the signal's number.
    """

    def __init__(self, number: int):
        super().__init__(signal.Signals(number).name)
        self.status = 128 + number


class StopSignals:
    """Takes SIGTERM and SIGINT within a `with` block, but for one that the process is to ignore.

    As long as there is nothing to save, a signal raises `SystemExit`, so that what is unfinished is
    cleaned up; at the end of the block once more, if the exception was lost, as in a callback of
    the garbage collector. After `hold` it is only noted, however many come.

    Attributes:
        received: Number of the first signal that has come, or `None`.
    """

    def __init__(self):
        self.received: int | None = None
        self._is_holding = False
        self._handlers = {}

    def __enter__(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            if signal.getsignal(number) != signal.SIG_IGN:
                self._handlers[number] = signal.signal(number, self._receive)
        return self

    def __exit__(self, kind, *exception):
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        if self.received is not None and kind is None and not self._is_holding:
            raise SystemExit(128 + self.received)

    def hold(self) -> None:
        """From now on, signals wait to be looked at."""
        self._is_holding = True

    def _receive(self, number, frame):
        if self.received is None:
            self.received = number
        if not self._is_holding:
            raise SystemExit(128 + number)
