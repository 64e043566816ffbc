"""Two workers on loopback, as processes of their own."""

import json
import os
import socket
import subprocess
import sys

from tests.subprocesses import ROOT


def start_workers(*arguments_of_workers, module="training"):
    """Starts `python -m module ARGUMENTS` once a worker, with a TF_CONFIG that names them all."""
    cluster = {"worker": free_addresses(len(arguments_of_workers))}
    environments = [
        {"TF_CONFIG": json.dumps({"cluster": cluster, "task": {"type": "worker", "index": index}})}
        for index in range(len(arguments_of_workers))
    ]
    return start_processes(arguments_of_workers, environments, module)


def start_processes(arguments_of_workers, environments, module="training"):
    return [
        subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for arguments, environment in zip(arguments_of_workers, environments, strict=True)
    ]


def finish_workers(processes):
    """Waits for all; returns the exit status, the output and the errors of each."""
    try:
        endings = [process.communicate() for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [
        (process.returncode, output, errors)
        for process, (output, errors) in zip(processes, endings, strict=True)
    ]


def free_addresses(count):
    """Returns addresses on loopback that were free a moment ago."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return addresses
