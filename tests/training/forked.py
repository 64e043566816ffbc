"""Commands of the trainer as processes of their own, without importing TensorFlow for each.

A server imports the trainer once and forks a process for each command, before TensorFlow starts
any thread. So a process is there in a hundredth of a second, and is as easily killed as any. Its
network is tiny: most of the time of a short run is spent on building it.
"""

import multiprocessing
import os
import sys

from tests.subprocesses import ROOT


class Command:
    """`python -m training ARGUMENTS`, started at once; its output goes to a file.

    Args:
        arguments: What stands behind `python -m training`.
        log: The file for stdout and stderr.
    """

    def __init__(self, arguments, log):
        self._log = log
        log.write_bytes(b"")
        self._process = _context().Process(target=_run, args=(list(map(str, arguments)), log))
        self._process.start()

    @property
    def status(self):
        """The exit status; `None` while it runs, negative after a signal."""
        return self._process.exitcode

    @property
    def output(self):
        return self._log.read_text()

    def send(self, number):
        os.kill(self._process.pid, number)

    def wait(self):
        """Returns the exit status."""
        self._process.join()
        return self.status


def _context():
    os.chdir(ROOT)  # where the server looks for what it imports
    context = multiprocessing.get_context("forkserver")
    # `training.__main__` imports TensorFlow only for the command that needs it.
    context.set_forkserver_preload(["training.__main__", "training.commands", "matplotlib.pyplot"])
    return context


def _run(arguments, log):
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    from tests.training.tiny_network import use_tiny_network
    from training.__main__ import main
    from training.process import import_tensorflow

    import_tensorflow()
    use_tiny_network()
    sys.exit(main(arguments))
