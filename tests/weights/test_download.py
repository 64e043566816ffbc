"""Downloads from a local server: whole and verified, or not there at all."""

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from keras_resnets.weights.download import DownloadError, download
from tests.subprocesses import ROOT
from tests.weights.file_server import FileServer

CONTENT = np.random.default_rng(0).integers(0, 256, 1_000_000, "uint8").tobytes()
DIGITS = hashlib.sha256(CONTENT).hexdigest()[:8]


@pytest.fixture
def server():
    with FileServer(CONTENT).running() as running:
        yield running


@pytest.fixture
def path(tmp_path):
    return tmp_path / "cache" / "weights.pth"


def fetch(server, path, name="/weights.pth", digits=DIGITS, most_bytes=2_000_000):
    download(server.address + name, path, digits, most_bytes)


def part_of(path):
    return path.with_name("weights.pth.part")


def test_a_file_comes_whole_and_alone(server, path):
    fetch(server, path)
    assert path.read_bytes() == CONTENT
    assert not part_of(path).exists()
    assert server.asked == [("/weights.pth", None)]


def test_what_is_there_is_not_asked_for_again(server, path):
    fetch(server, path)
    fetch(server, path)
    assert len(server.asked) == 1


def test_broken_connections_are_gone_on_with(server, path):
    server.breaks_after = [400_000, 1, 300_000]
    fetch(server, path)
    assert path.read_bytes() == CONTENT
    starts = [wanted for _, wanted in server.asked]
    assert starts == [None, "bytes=400000-", "bytes=400001-", "bytes=700001-"]


def test_where_nothing_more_comes_it_ends_and_keeps_what_came(server, path):
    server.breaks_after = [400_000, 0]
    with pytest.raises(DownloadError, match=r"the connection broke.*Without a network, put"):
        fetch(server, path)
    assert not path.exists()
    assert part_of(path).read_bytes() == CONTENT[:400_000]
    fetch(server, path)
    assert path.read_bytes() == CONTENT
    assert server.asked[-1][1] == "bytes=400000-"


def test_a_server_that_gives_a_byte_a_connection_is_left(server, path, monkeypatch):
    pauses = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    server.breaks_after = [1] * 100
    with pytest.raises(DownloadError, match="the connection broke 20 times; what came is kept"):
        fetch(server, path)
    assert len(server.asked) == 20
    assert pauses[:3] == [0.1, 0.2, 0.4]
    assert pauses[-1] == 10
    assert part_of(path).stat().st_size == 20


def test_what_a_server_says_is_one_line_that_no_terminal_obeys(server, path):
    server.redirects["/circle"] = f"{server.address}/circle"
    for name in ("/circle", "/loud"):
        with pytest.raises(DownloadError, match="the server answers") as raised:
            fetch(server, path, name)
        assert str(raised.value).isprintable()
        assert len(str(raised.value)) < 1000


def test_a_failure_leaves_nothing_empty_behind(server, path):
    with pytest.raises(DownloadError, match="404"):
        fetch(server, path, "/missing")
    assert list(path.parent.iterdir()) == []
    fetch(server, path)
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("place", ["weights.pth", "weights.pth.part"])
def test_a_folder_in_its_place_is_named(server, path, place):
    (path.parent / place).mkdir(parents=True)
    with pytest.raises(DownloadError, match=r"a folder in its place: '.*/weights.pth(.part)?'$"):
        fetch(server, path)
    assert server.asked == []


def test_an_address_with_control_characters_is_no_matter_of_the_network(path):
    with pytest.raises(ValueError, match="`url` must begin with"):
        download("http://127.0.0.1/a\nb", path, DIGITS, 1)


def test_a_server_without_ranges_begins_anew(server, path):
    server.knows_ranges = False
    server.breaks_after = [400_000]
    fetch(server, path)
    assert path.read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == [None, "bytes=400000-"]


def test_without_a_length_the_hash_tells_what_is_whole(server, path):
    server.says_length = False
    fetch(server, path)
    assert path.read_bytes() == CONTENT
    path.unlink()
    server.breaks_after = [400_000]
    with pytest.raises(DownloadError, match="400,000 bytes with another"):
        fetch(server, path)


def test_another_file_s_beginning_is_dropped(server, path):
    path.parent.mkdir()
    part_of(path).write_bytes(b"another" * 1000)
    fetch(server, path)
    assert path.read_bytes() == CONTENT
    assert [wanted for _, wanted in server.asked] == ["bytes=7000-", None]


@pytest.mark.parametrize("extra", [b"", b"more"])
def test_a_beginning_that_is_the_whole_or_too_long(server, path, extra):
    path.parent.mkdir()
    part_of(path).write_bytes(CONTENT + extra)
    fetch(server, path)
    assert path.read_bytes() == CONTENT
    assert len(server.asked) == (2 if extra else 1)


def test_a_wrong_hash_leaves_nothing(server, path):
    with pytest.raises(DownloadError, match=r"must have the sha256 00000000….*1,000,000 bytes"):
        fetch(server, path, digits="00000000")
    assert not path.exists()
    assert not part_of(path).exists()


@pytest.mark.parametrize("says_length", [True, False])
def test_what_is_too_large_is_not_received(server, path, says_length):
    server.says_length = says_length
    with pytest.raises(DownloadError, match="500,000"):
        fetch(server, path, most_bytes=500_000)
    assert not path.exists()
    assert not part_of(path).exists()


def test_a_redirect_is_followed_with_its_range(server, path):
    server.redirects["/weights.pth"] = f"{server.address}/elsewhere"
    path.parent.mkdir()
    part_of(path).write_bytes(CONTENT[:10])
    fetch(server, path)
    assert path.read_bytes() == CONTENT
    assert server.asked == [("/weights.pth", "bytes=10-"), ("/elsewhere", "bytes=10-")]


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/weights.pth"])
def test_a_redirect_to_another_scheme_is_refused(server, path, target):
    server.redirects["/weights.pth"] = target
    with pytest.raises(DownloadError, match=f"to (url ')?{target}'?,? .*is not "):
        fetch(server, path)
    assert not path.exists()


def test_redirects_in_a_circle_end(server, path):
    server.redirects["/weights.pth"] = f"{server.address}/weights.pth"
    with pytest.raises(DownloadError, match="could not be downloaded"):
        fetch(server, path)


def test_a_missing_file_is_an_error_with_its_address(server, path):
    with pytest.raises(DownloadError, match=r"/missing could not .* answers 404 Not Found"):
        fetch(server, path, "/missing")


def test_without_a_server_the_error_says_what_to_do(path):
    with pytest.raises(DownloadError, match=r"Connection refused.*Without a network, put the file"):
        download("http://127.0.0.1:9/weights.pth", path, DIGITS, 2_000_000)


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://127.0.0.1/a", "weights.pth"])
def test_only_http_is_asked(path, url):
    with pytest.raises(ValueError, match=r"must begin with http:// or https://"):
        download(url, path, DIGITS, 2_000_000)


def test_a_silent_server_is_not_waited_for(server, path, monkeypatch):
    monkeypatch.setattr("keras_resnets.weights.download.TIMEOUT", 0.2)
    entered, leave = threading.Event(), threading.Event()

    class Silent(FileServer):
        def _handler(self):
            handler = super()._handler()
            handler.do_GET = lambda self: (entered.set(), leave.wait(10))
            return handler

    with Silent(CONTENT).running() as silent:
        with pytest.raises(DownloadError, match="timed out"):
            fetch(silent, path)
        assert entered.is_set()
        leave.set()


def test_two_at_once_ask_once(server, path):
    errors = []

    def one():
        try:
            fetch(server, path)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert path.read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_a_killed_download_is_resumed(server, path):
    """The process is killed while it waits for the second half."""
    code = f"""
import sys, types
sys.modules["keras_resnets"] = package = types.ModuleType("keras_resnets")  # without Keras
package.__path__ = [{str(ROOT / "keras_resnets")!r}]
package.weights = sys.modules["keras_resnets.weights"] = types.ModuleType("weights")
package.weights.__path__ = [{str(ROOT / "keras_resnets" / "weights")!r}]
from keras_resnets.weights.download import download
download({server.address + "/weights.pth"!r}, {str(path)!r}, {DIGITS!r}, 2_000_000)
"""
    server.halts_at = len(CONTENT) // 2
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    try:
        while not (part_of(path).exists() and part_of(path).stat().st_size >= 100_000):
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    finally:
        server.goes_on.set()
        process.wait()
    assert not path.exists()
    begun = part_of(path).stat().st_size
    assert 0 < begun < len(CONTENT)
    server.halts_at = None
    fetch(server, path)
    assert path.read_bytes() == CONTENT
    assert server.asked[-1] == ("/weights.pth", f"bytes={begun}-")
