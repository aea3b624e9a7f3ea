"""What a student sends is read without harm: hostile archives are refused, each with a sentence."""

import io
import os
import pickle
import stat
import tarfile
import zipfile

import pytest

from etude_course.grade import archives
from etude_course.grade.archives import RefusedError, read


def zipped(path, **members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def tarred(path, *members):
    """Members are (TarInfo, data) or (name, data)."""
    with tarfile.open(path, "w:gz") as archive:
        for info, data in members:
            made = info if isinstance(info, tarfile.TarInfo) else tarfile.TarInfo(info)
            if made.isreg():
                made.size = len(data)
            archive.addfile(made, io.BytesIO(data))
    return path


def link(name, to, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def test_a_folder_a_zip_a_tar_and_a_file_hold_the_same(tmp_path):
    folder = tmp_path / "s1"
    (folder / "mine").mkdir(parents=True)
    (folder / "mine" / "a.py").write_bytes(b"a = 1")
    (folder / "__pycache__").mkdir()
    (folder / "__pycache__" / "a.pyc").write_bytes(b"no")
    (folder / ".git").mkdir()
    expected = {"mine/a.py": b"a = 1"}
    assert read(folder).files == expected
    assert read(zipped(tmp_path / "s1.zip", **{"mine/a.py": b"a = 1", "__MACOSX/._a": b"",
                                              ".DS_Store": b""})).files == expected
    assert read(tarred(tmp_path / "s1.tar.gz", ("./mine/a.py", b"a = 1"))).files == expected
    (tmp_path / "a.py").write_bytes(b"a = 1")
    assert read(tmp_path / "a.py").files == {"a.py": b"a = 1"}


@pytest.mark.parametrize(("name", "said"), [
    ("../../a.py", "leads out of the hand-in"), ("/etc/cron.d/a", "is absolute"),
    ("C:/a.py", "is absolute"), ("..\\a.py", "no path needs"), ("x/../../a.py", "leads out")])
def test_a_path_that_leads_outside_is_refused(tmp_path, name, said):
    with pytest.raises(RefusedError, match=said):
        read(zipped(tmp_path / "s.zip", **{name: b"x"}))
    with pytest.raises(RefusedError, match=said):
        read(tarred(tmp_path / "s.tgz", (name, b"x")))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.tgz", "s.zip"]


def test_a_link_is_refused_wherever_it_is(tmp_path):
    folder = tmp_path / "s1"
    folder.mkdir()
    (folder / "a.py").symlink_to("/etc/passwd")
    with pytest.raises(RefusedError, match=r"'a.py' is a symbolic link"):
        read(folder)
    (tmp_path / "s2").symlink_to(folder)
    with pytest.raises(RefusedError, match=r"'s2' is a symbolic link"):
        read(tmp_path / "s2")
    info = zipfile.ZipInfo("a.py")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(RefusedError, match="symbolic link"):
        read(tmp_path / "s.zip")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
        with pytest.raises(RefusedError, match=r"'a.py' is a link"):
            read(tarred(tmp_path / "s.tar.gz", (link("a.py", "/etc/passwd", kind), b"")))


def test_a_device_and_a_pipe_are_refused(tmp_path):
    with pytest.raises(RefusedError, match="neither a file nor a folder"):
        read(tarred(tmp_path / "s.tar.gz", (link("a.py", "", tarfile.CHRTYPE), b"")))
    folder = tmp_path / "s1"
    folder.mkdir()
    os.mkfifo(folder / "a.py")
    with pytest.raises(RefusedError, match="neither a file nor a folder"):
        read(folder)


def test_what_is_too_large_is_refused_before_it_fills_anything(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MEMBER", 1000)
    monkeypatch.setattr(archives, "TOTAL", 2500)
    with pytest.raises(RefusedError, match=r"'a.py' is larger than"):
        read(zipped(tmp_path / "s.zip", **{"a.py": b"\0" * 1001}))
    with pytest.raises(RefusedError, match=r"'a.py' is larger than"):
        read(tarred(tmp_path / "s.tgz", ("a.py", b"\0" * 1001)))
    with pytest.raises(RefusedError, match=r"larger than .* together"):
        read(zipped(tmp_path / "s.zip", **{f"{n}.py": bytes([n]) * 1000 for n in range(3)}))
    monkeypatch.setattr(archives, "MEMBERS", 3)
    with pytest.raises(RefusedError, match="more than 3 files"):
        read(zipped(tmp_path / "s.zip", **{f"{n}.py": b"" for n in range(4)}))


def test_a_table_that_lies_about_sizes_is_not_believed(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MEMBER", 1000)
    path = zipped(tmp_path / "s.zip", **{"a.py": b"\0" * 5000})
    data = path.read_bytes()
    path.write_bytes(data.replace((5000).to_bytes(4, "little"), (10).to_bytes(4, "little")))
    with pytest.raises(RefusedError):
        read(path)


def test_a_pickle_is_left_out_and_said(tmp_path):
    content = read(zipped(tmp_path / "s.zip", **{
        "a.py": b"a = 1", "model.pkl": b"x", "numbers.txt": pickle.dumps([1])}))
    assert content.files == {"a.py": b"a = 1"}
    assert [n for n in content.notes if "model.pkl" in n]
    assert [n for n in content.notes if "numbers.txt" in n]


def test_damage_is_a_refusal_not_a_crash(tmp_path):
    good = zipped(tmp_path / "good.zip", **{"a.py": bytes(range(256)) * 8}).read_bytes()
    for cut in range(0, len(good), 7):
        (tmp_path / "s.zip").write_bytes(good[:cut])
        with pytest.raises(RefusedError):
            read(tmp_path / "s.zip")
    for suffix in (".zip", ".tar.gz", ".tar", ".tar.xz"):
        (tmp_path / f"s{suffix}").write_bytes(b"this is no archive")
        with pytest.raises(RefusedError, match="damaged, or no archive"):
            read(tmp_path / f"s{suffix}")
