"""Ctrl-C that waits: work of other libraries ends whole, and the program ends then."""

import signal
import threading

import pytest

from etude.data.files import uninterrupted

pytestmark = pytest.mark.usefixtures("interruptible")


def ctrl_c():
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_waits_until_the_work_is_done():
    done, before = [], signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), uninterrupted():  # noqa: PT012
        ctrl_c()
        done.append("all of it")
    assert done == ["all of it"]
    assert signal.getsignal(signal.SIGINT) is before
    with uninterrupted():
        pass
    assert signal.getsignal(signal.SIGINT) is before


def test_inside_it_may_act_at_once_and_then_waits_again():
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted() as at_once:  # noqa: PT012
        with pytest.raises(KeyboardInterrupt), at_once():  # noqa: PT012
            ctrl_c()
            done.append("not this")
        ctrl_c()
        done.append("the rest")
    assert done == ["the rest"]


def test_one_that_waited_acts_where_it_may():
    done = []
    with uninterrupted() as at_once:
        ctrl_c()
        with pytest.raises(KeyboardInterrupt), at_once():
            done.append("not begun")
        done.append("told once")
    assert done == ["told once"]


def test_an_error_of_the_work_comes_first():
    with pytest.raises(ValueError, match="broken"), uninterrupted():  # noqa: PT012
        ctrl_c()
        raise ValueError("broken")


def test_in_another_thread_it_changes_nothing():
    found = []

    def work():
        with uninterrupted() as at_once, at_once():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.getsignal(signal.SIGINT)]
