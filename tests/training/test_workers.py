"""What workers settle, and how the loss of one is said."""

import pytest

tf = pytest.importorskip("tensorflow")

from training.loop import strategy as strategies  # noqa: E402
from training.loop.strategy import LostWorker, lost_workers_named, make_gather  # noqa: E402

REASON = "Collective ops is aborted by: recvmsg:Connection reset by peer"


@pytest.fixture
def strategy():
    return tf.distribute.OneDeviceStrategy("/CPU:0")


@pytest.fixture
def with_peers(monkeypatch):
    monkeypatch.setattr(strategies, "_has_peers", lambda strategy: True)


def test_a_process_alone_agrees_with_itself(strategy):
    assert make_gather(strategy)(2**60 - 1) == [2**60 - 1]


def test_the_gathered_number_is_whole(strategy, with_peers):
    assert make_gather(strategy)(2**60 - 1) == [2**60 - 1]


@pytest.mark.parametrize(
    "kind", [tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.InternalError]
)
def test_a_lost_worker_is_one_line_with_the_reason(strategy, with_peers, kind):
    with pytest.raises(LostWorker) as caught, lost_workers_named(strategy):
        raise kind(None, None, f"Graph execution error:\n\n{REASON}\nmore")
    assert str(caught.value).endswith(f"Received: {kind.__name__}: {REASON}")
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, OSError)  # the command line ends with status 1


def test_without_peers_the_error_stays_what_it_was(strategy):
    with pytest.raises(tf.errors.UnavailableError), lost_workers_named(strategy):
        raise tf.errors.UnavailableError(None, None, REASON)


def test_other_errors_stay_what_they_were(strategy, with_peers):
    with pytest.raises(tf.errors.InvalidArgumentError), lost_workers_named(strategy):
        raise tf.errors.InvalidArgumentError(None, None, "a broken image")
