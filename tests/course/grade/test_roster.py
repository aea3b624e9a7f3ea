"""The roster of a class: what a line may say, and what is said about one that cannot be read."""

from datetime import timedelta

import pytest

from etude_course.errors import CourseError
from etude_course.grade import roster


def read(tmp_path, text):
    path = tmp_path / "class.csv"
    path.write_text(text)
    return roster.read(path)


def test_a_roster_needs_no_more_than_ids(tmp_path):
    found = read(tmp_path, "id\ns001\ns002\n\n")
    assert list(found.students) == ["s001", "s002"]
    assert found.members("s001") == ["s001"]
    assert found.extra("s001") == timedelta()


def test_a_group_shares_the_longest_extension_and_other_columns_are_kept(tmp_path):
    found = read(tmp_path, "\ufeffID,Name,Group,Extra days,extra time,email\n"
                 's1,"Hopper, Grace",red,2,,g@x.org\ns2,Alan,red,,90m,\ns3,Ada,,1,36h,\n')
    assert found.student("s1").name == "Hopper, Grace"
    assert found.members("s2") == ["s1", "s2"]
    assert found.extra("s2") == timedelta(days=2)
    assert found.extra("s3") == timedelta(days=1, hours=36)
    assert found.student("s1").other == {"email": "g@x.org"}


@pytest.mark.parametrize(("text", "said"), [
    ("", "must be 'id'"),
    ("name,group\nAda,red\n", "found: name, group"),
    ("id,id\na,b\n", "two columns called 'id'"),
    ("id,extra day\na,1\n", "Did you mean 'extra days'?"),
    ("id\n", "no students"),
    ("id,name\ns1,Hopper, Grace\n", "line 2: 3 cells, and the first line names 2"),
    ("id,name\n,Ada\n", "line 2: there is no id"),
    ("id\n../etc\n", "'../etc' is no id"),
    ("id\na\nb\na\n", "line 4: a is on line 2 already"),
    ("id\nAb\naB\n", "Ab and aB differ in capitals only"),
    ("id,extra days\na,two\n", "extra days is a whole number, got 'two'"),
    ("id,extra days\na,-1\n", "extra days is a whole number, got '-1'"),
    ("id,extra time\na,soon\n", "extra time is written like 36h or 90m, got 'soon'"),
])
def test_what_is_wrong_is_said_with_its_line(tmp_path, text, said):
    with pytest.raises(CourseError) as error:
        read(tmp_path, text)
    assert said in str(error.value)
    assert "class.csv" in str(error.value)


def test_every_line_that_is_wrong_is_named(tmp_path):
    with pytest.raises(CourseError, match=r"(?s)line 2.*line 4"):
        read(tmp_path, "id,extra days\na,x\nb,1\nc,y\n")


def test_a_roster_that_is_not_there_or_is_no_text(tmp_path):
    with pytest.raises(CourseError, match=r"nobody.csv cannot be read: No such file"):
        roster.read(tmp_path / "nobody.csv")
    (tmp_path / "x.csv").write_bytes(b"id\n\xff\xfe\n")
    with pytest.raises(CourseError, match="not UTF-8"):
        roster.read(tmp_path / "x.csv")
