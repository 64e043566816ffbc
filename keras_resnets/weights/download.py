"""A file from an address: whole and verified, or not there at all."""

import contextlib
import hashlib
import http
import http.client
import os
import re
import time
import urllib.error
import urllib.request
from pathlib import Path

from keras_resnets.files.errors import printable
from keras_resnets.weights.download_progress import DownloadProgress

TIMEOUT = 30.0  # seconds without a byte
MOST_CONNECTIONS = 20
# Seconds after the first broken connection, and at most; after each, twice as long as before.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 10.0
BLOCK = 2**18
SCHEMES = ("http://", "https://")


class DownloadError(OSError):
    """A file could not be had: the message says why, and what can be done."""


def download(url, path, sha256, most_bytes):
    """Downloads a file to a path, where it appears only when it is whole and verified.

    Another file that lies there is replaced then, and not before.

    What has come is kept beside the path, with the suffix `.part`. After a broken connection, or in
    a later call after a kill, the rest is asked for. Several processes may call this at once: one
    downloads, the others wait for it.

    Args:
        url: An `http` or `https` address.
        path: Where the file is to be; folders are made.
        sha256: The file's sha256 in hexadecimal digits, or the first of them.
        most_bytes: What the file may be at most; more is not even received.

    Raises:
        DownloadError: If the address cannot be reached, what comes is not the file, or a folder is
            in its place.
        ValueError: If the address is of another kind.
    """
    _check_address(url)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    for place in (path, part):
        if place.is_dir():
            raise DownloadError(
                f"{url} was not downloaded, for there is a folder in its place: {str(place)!r}"
            )
    with _alone(path.with_name(f"{path.name}.lock")):
        if path.exists() and has_sha256(path, sha256):  # another process was faster
            return
        try:
            was_resumed = _receive_all(url, part, most_bytes)
            if was_resumed and not has_sha256(part, sha256):  # its beginning was another file's
                part.unlink()
                _receive_all(url, part, most_bytes)
        except (OSError, http.client.HTTPException) as error:
            if part.exists() and not part.stat().st_size:
                part.unlink()
            raise DownloadError(
                f"{url} could not be downloaded ({_reason(error)}). Without a network, put the "
                f"file at {str(path)!r}"
            ) from error
        _check_sha256(url, part, sha256)
        os.replace(part, path)


def has_sha256(path, digits) -> bool:
    """Whether the sha256 of a file begins with these hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(digits)


def _check_sha256(url, part, digits):
    if not has_sha256(part, digits):
        size = part.stat().st_size
        part.unlink()
        raise DownloadError(
            f"{url} must have the sha256 {digits}…. Received: {size:,} bytes with another; they "
            "were deleted"
        )


def _receive_all(url, part, most_bytes):
    """Receives a file, asking on as long as broken connections bring something.

    Returns:
        Whether its beginning was there already.
    """
    begun = part.stat().st_size if part.exists() else 0
    have = begun
    for connection in range(MOST_CONNECTIONS):
        if _receive(url, part, most_bytes):
            return begun > 0
        if part.stat().st_size <= have:
            raise OSError("the connection broke, and nothing more came")
        have = part.stat().st_size
        time.sleep(min(FIRST_PAUSE * 2**connection, LONGEST_PAUSE))
    raise OSError(f"the connection broke {MOST_CONNECTIONS} times; what came is kept")


def _receive(url, part, most_bytes):
    """Appends to a file what one connection brings; returns whether that is all."""
    with open(part, "ab") as file:
        have = file.tell()
        request = urllib.request.Request(url, headers={"Accept-Encoding": "identity"})
        if have:
            request.add_header("Range", f"bytes={have}-")
        try:
            response = _OPENER.open(request, timeout=TIMEOUT)
        except urllib.error.HTTPError as error:
            if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
                raise
            # There is nothing behind what we have. The sha256 tells whether that is the file.
            return True
        with response:
            start, total = _extent(response)
            if start > have:
                raise OSError("the server answers with a later part of the file than was asked for")
            if start < have:  # a server that knows no ranges begins anew
                file.truncate(start)
                have = start
            if total is not None and total > most_bytes:
                raise OSError(f"it has {total:,} bytes, {most_bytes:,} are allowed")
            return _append(response, file, have, total, most_bytes)


def _append(response, file, have, total, most_bytes):
    with DownloadProgress(Path(file.name).stem, total) as progress:
        progress.show(have)
        while True:
            try:
                block = response.read1(BLOCK)
            except (OSError, http.client.HTTPException):  # broken; what came before is kept
                return False
            if not block:
                return total is None or have == total
            have += len(block)
            if have > most_bytes:
                file.truncate(0)
                raise OSError(f"more than the {most_bytes:,} bytes came that are allowed")
            file.write(block)
            progress.show(have)


def _extent(response):
    """Returns where in the file an answer begins, and the size of the file, if it says so."""
    if response.status == http.HTTPStatus.PARTIAL_CONTENT:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers["Content-Range"] or "")
        if not found:
            raise OSError("the server answers with a part of the file, and does not say which")
        return int(found[1]), None if found[2] == "*" else int(found[2])
    length = response.headers["Content-Length"]
    return 0, int(length) if length and length.isdecimal() else None


@contextlib.contextmanager
def _alone(path):
    """Waits until no other process is inside for the same path.

    Where the system has no `flock` nothing is waited for: two downloads at once then spoil each
    other, and the sha256 tells.
    """
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        yield
        return
    while True:
        with open(path, "a") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if not _is_at(file, path):  # whoever was inside before has removed it
                continue
            try:
                yield
            finally:
                path.unlink()
            return


def _is_at(file, path):
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


class _SafeRedirects(urllib.request.HTTPRedirectHandler):
    """Follows to `https`, or from `http` to `http`; urllib would also follow to `ftp`."""

    def redirect_request(self, req, fp, code, msg, headers, newurl):
        allowed = SCHEMES if req.full_url.startswith("http://") else ("https://",)
        if not newurl.startswith(allowed):
            raise OSError(f"it leads to {printable(newurl)}, which is not {' or '.join(allowed)}")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener():
    """Returns what opens http and https addresses, by a proxy if the environment names one."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _SafeRedirects(),
    ):
        opener.add_handler(handler)
    return opener


_OPENER = _opener()


def _check_address(url):
    if not re.fullmatch(r"https?://[!-~]+", str(url)):
        raise ValueError(
            "`url` must begin with http:// or https://, without spaces or letters beyond ASCII. "
            f"Received: url={url!r}"
        )


def _reason(error):
    reason = getattr(error, "reason", None) if isinstance(error, urllib.error.URLError) else None
    if isinstance(error, urllib.error.HTTPError):
        reason = f"the server answers {error.code} {error.reason}"
    # The server's words may be of several lines, and say anything.
    return printable(" ".join(str(reason or error or type(error).__name__).split()))
