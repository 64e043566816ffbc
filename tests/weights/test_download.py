"""Downloads from a local server: whole and verified, or not there at all."""

import hashlib
import threading

import numpy as np
import pytest

from keras_resnets.weights.presets import DownloadError, download
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
    assert server.asked == ["/weights.pth"]


def test_what_a_server_says_is_one_line_that_no_terminal_obeys(server, path):
    server.redirects["/circle"] = f"{server.address}/circle"
    for name in ("/circle", "/loud"):
        with pytest.raises(DownloadError, match="could not be downloaded") as raised:
            fetch(server, path, name)
        assert str(raised.value).isprintable()
        assert len(str(raised.value)) < 1000


def files_beside(path):
    return [each for each in path.parent.iterdir() if each.suffix != ".lock"]


def test_a_failure_leaves_nothing_behind(server, path):
    with pytest.raises(DownloadError, match=r"/missing could not .*404.* Not Found"):
        fetch(server, path, "/missing")
    assert files_beside(path) == []
    server.breaks_after = [400_000]
    with pytest.raises(DownloadError, match="could not be downloaded"):
        fetch(server, path)
    assert files_beside(path) == []
    fetch(server, path)
    assert files_beside(path) == [path]


@pytest.mark.parametrize("place", ["weights.pth", "weights.pth.part"])
def test_a_folder_in_its_place_is_named(server, path, place):
    (path.parent / place).mkdir(parents=True)
    with pytest.raises(DownloadError, match=r"Is a directory: '.*/weights.pth(.part)?'\)"):
        fetch(server, path)
    assert server.asked == []


def test_a_wrong_hash_leaves_nothing(server, path):
    with pytest.raises(DownloadError, match="sha256 must begin with 00000000"):
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


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/weights.pth"])
def test_a_redirect_to_another_scheme_is_refused(server, path, target):
    server.redirects["/weights.pth"] = target
    with pytest.raises(DownloadError, match="could not be downloaded"):
        fetch(server, path)
    assert not path.exists()


def test_without_a_server_the_error_says_what_to_do(path):
    with pytest.raises(DownloadError, match=r"Connection refused.*Without a network, put the file"):
        download("http://127.0.0.1:9/weights.pth", path, DIGITS, 2_000_000)


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://127.0.0.1/a", "weights.pth", "http://127.0.0.1/a\nb"]
)
def test_only_http_is_asked(path, url):
    with pytest.raises(ValueError, match=r"must begin with http:// or https://"):
        download(url, path, DIGITS, 2_000_000)


def test_a_silent_server_is_not_waited_for(server, path, monkeypatch):
    monkeypatch.setattr("keras_resnets.weights.presets.TIMEOUT", 0.2)
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
