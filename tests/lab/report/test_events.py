"""The events of a run are read strictly: every line, its fields and their kinds."""

import made_runs as made
import pytest

from etude.core.errors import BackendError
from etude_cuda.lab.events import KINDS, parse, read


def test_every_event_is_read_into_its_fields():
    log = made.log(made.launch(), made.RACE, made.access(6), made.block(6),
                   {"event": "note", "text": "hello"}, made.END)
    assert log.launches[0].block == (64, 1, 1)
    one = log.findings[0]
    assert (one.kind, one.scope, one.count) == ("race", "block", 31)
    assert one.places[0].pc == int(made.at(8), 16)
    assert one.places[0].thread == (0, 0, 0, 17, 0, 0)
    assert one.object.offset == 68
    assert log.accesses[0].example[2] == 8
    assert log.blocks[0].warps == 8
    assert log.notes == ["hello"]
    assert log.finished


def test_the_last_line_of_a_killed_program_may_be_cut_and_the_log_says_so(tmp_path):
    whole = made.text(made.launch(), made.RACE)
    (tmp_path / "events").write_text(whole[:-20])
    log = read(tmp_path / "events")
    assert log.cut
    assert not log.finished
    assert len(log.launches) == 1
    assert log.findings == []


def test_a_program_that_wrote_no_end_is_not_finished():
    assert not made.log(made.launch()).finished
    assert not made.log({**made.END, "stopped": "Ctrl-C"}).finished


@pytest.mark.parametrize(("line", "word"), [
    ("{", "line 1"), ('{"event": "tea"}', "unknown event 'tea'"), ("[]", "line 1"),
    ('{"event": "finding", "kind": "bug"}', "unknown kind of finding 'bug'"),
    ('{"event": "launch", "launch": 1}', "no field 'kernel'"),
    ('{"event": "block", "launch": 1, "pc": "0x1", "warps": 1.5, "lanes": 1, "split": 0}',
     "1.5 is no whole number"),
    ('{"event": "block", "launch": 1, "pc": "zz", "warps": 1, "lanes": 1, "split": 0}', "zz"),
    ('{"event": "finding", "kind": "race", "places": [{"thread": [1, 2]}]}',
     "six coordinates, not 2")])
def test_a_line_that_is_no_event_is_an_error_that_names_it(line, word):
    with pytest.raises(BackendError, match="line 1") as caught:
        parse(line + "\n" + made.text(made.END))
    assert word in str(caught.value)


def test_no_kind_is_listed_twice():
    assert len(set(KINDS)) == len(KINDS)
