"""A run from sources to a report: how far it is, and how long it would take."""

import json

import pytest

from etude_cuda.lab.session import _Watch, duration


@pytest.mark.parametrize(("seconds", "said"), [
    (0.25, "0.25 s"), (3, "3 s"), (119, "119 s"), (300, "5 min"), (10_800, "3 h"),
    (400_000, "5 days"),
])
def test_a_duration_is_said_as_people_do(seconds, said):
    assert duration(seconds) == said


def test_a_long_launch_is_told_after_ten_seconds_and_then_ever_more_rarely(tmp_path):
    events, said = tmp_path / "events", []
    watch = _Watch(events, said.append)
    watch(1.0)  # no file yet
    lines = ['{"event":"access"}']

    def progress(launch, done, seconds):
        lines.append(json.dumps({"event": "progress", "launch": launch, "kernel": "k", "line": 9,
                                 "done": done, "blocks": 1000, "seconds": seconds},
                                separators=(",", ":")))
        events.write_text("\n".join(lines) + '\n{"event":"prog')
        watch(seconds)

    for seconds in (5, 10, 15, 19, 21, 30):
        progress(1, 10 * seconds, seconds)
    assert [s.partition(". ")[0] for s in said] == [
        "k, launched at line 9: 100 of 1,000 blocks after 10 s, some 90 s to go",
        "k, launched at line 9: 210 of 1,000 blocks after 21 s, some 79 s to go"]
    progress(2, 0, 5)
    progress(2, 0, 11)
    assert said[-1].startswith("k, launched at line 9: 0 of 1,000 blocks after 11 s. Ctrl-C ends")
