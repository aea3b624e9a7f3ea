"""CSVDataset: what it reads, and that each thing wrong in a file is named with its line."""

import gzip

import numpy as np
import pytest

from etude.data.loader import DataLoader
from etude.data.table_file import CSVDataset

IRIS = """sepal,petal,species
5.1,1.4,setosa
7.0,4.7,versicolor
6.3,6.0,virginica
4.9,1.5,setosa
"""


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "t.csv"

    def write(text, label="species", encoding="utf-8", **options):
        path.write_bytes(text.encode(encoding))
        return CSVDataset(path, label, **options)

    return write


def test_features_and_classes_are_read(table):
    data = table(IRIS)
    assert len(data) == 4
    assert data.columns == ["sepal", "petal"]
    assert data.classes == ("setosa", "versicolor", "virginica")
    x, y = data[2]
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, np.float32([6.3, 6.0]))
    assert y == 2
    assert data.targets.dtype == np.int64
    assert repr(data).endswith("t.csv', 4 samples, 2 features)")


def test_a_loader_makes_tensors_of_it(table):
    x, y = next(iter(DataLoader(table(IRIS), batch_size=3)))
    assert x.shape == (3, 2)
    assert y.tolist() == [0, 1, 2]


def test_a_number_as_target_for_regression(table):
    data = table(IRIS, "petal", kind="number", columns=["sepal"])
    assert data.targets.dtype == np.float32
    np.testing.assert_array_equal(data.targets, np.float32([1.4, 4.7, 6.0, 1.5]))
    assert data.features.shape == (4, 1)
    assert data.classes is None


def test_integer_classes_are_in_the_order_of_numbers(table):
    assert table("x,c\n1,10\n2,9\n3,-1\n", "c").classes == ("-1", "9", "10")


def test_the_classes_of_a_training_file_serve_its_test_file(table):
    data = table("x,species\n1,virginica\n", classes=("setosa", "versicolor", "virginica"))
    assert data.targets.tolist() == [2]
    with pytest.raises(ValueError, match=r"t.csv, line 3: 'rose' in column 'species' is not among "
                                         r"the classes \['setosa', 'virginica'\]"):
        table("x,species\n1,setosa\n2,rose\n", classes=["setosa", "virginica"])


def test_names_in_the_label_of_a_regression_are_told_of_classes(table):
    with pytest.raises(ValueError, match="'setosa' in column 'species' is no number; kind='class' "
                                         "takes names"):
        table(IRIS, kind="number")


def test_the_advice_on_text_in_a_column_works(table):
    text = "a,remark,species\n1,tall,x\n2,small,y\n"
    with pytest.raises(ValueError, match=r"columns=\[...\]"):
        table(text)
    assert table(text, columns=["a"]).features.tolist() == [[1], [2]]


def test_columns_are_chosen_in_the_order_given(table):
    data = table("id,a,b,c\nx1,1,2,0\n", "c", columns=["b", "a"])
    assert data.features.tolist() == [[2, 1]]


@pytest.mark.parametrize("text", [
    "\ufeff" + IRIS,
    IRIS.replace("\n", "\r\n"),
    IRIS.replace("\n", "\n\n"),
    IRIS.replace(",", " , "),
    IRIS.rstrip("\n"),
    IRIS.replace("setosa", '"setosa"'),
], ids=["byte order mark", "CRLF", "empty lines", "spaces", "no last newline", "quotes"])
def test_variants_of_the_format_read_the_same(table, text):
    data, plain = table(text), table(IRIS)
    np.testing.assert_array_equal(data.features, plain.features)
    assert data.classes == plain.classes


def test_gzip_tabs_and_quoted_delimiters(table, tmp_path):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(IRIS.encode()))
    assert len(CSVDataset(path, "species")) == 4
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(ValueError, match=r"t\.csv\.gz: a damaged gzip file, perhaps half a"):
        CSVDataset(path, "species")
    assert len(table(IRIS.replace(",", "\t"), delimiter="\t")) == 4
    assert table('x,c\n1,"a,\nb"\n2,d\n', "c").classes == ("a,\nb", "d")


@pytest.mark.parametrize(("text", "message"), [
    ("", "t.csv: empty, without even a line that names the columns"),
    ("\n\n", "t.csv: empty, without even"),
    ("a,species\n", "t.csv: has a header, but no samples"),
    ("a,specis\n1,x\n", "no column 'species'; did you mean 'specis'?"),
    ("a,b\n1,x\n", "no column 'species'; it has a, b"),
    ("a,a,species\n1,2,x\n", "two columns are named 'a'; rename one"),
    ("species\nx\n", "no column is left for the features beside 'species'"),
    ("a,species\n1,x\n2\n", "t.csv, line 3: 1 values for the 2 columns of the header; is ','"),
    ("a,species\n1,2,x\n", "t.csv, line 2: 3 values for the 2 columns"),
    ("a,species\n1,x\ntall,y\n", "line 3: 'tall' in column 'a' is no number; name the columns that "
                                 "are features with columns=[...]"),
    ("a,species\n1_000,x\n", "line 2: '1_000' in column 'a' is no number"),
    ("a,species\n\n\n1,x\n,y\n", "line 5: no value in column 'a' (''); fill it in, take the line "
                                 "out, or name the columns that are features with columns=[...]"),
    ("a,species\n1,NA\n", "line 2: no value in column 'species' ('NA')"),
    ("a,species\nnan,x\n", "line 2: no value in column 'a' ('nan')"),
    ("a,species\n?,x\n", "line 2: no value in column 'a' ('?')"),
    ("a,species\ninf,x\n", "line 2: 'inf' in column 'a' does not fit into float32"),
    ("a,species\n1e39,x\n", "line 2: '1e39' in column 'a' does not fit into float32"),
    ('a,species\n1,"x\n', "line 2: unexpected end of data"),
])
def test_what_is_wrong_is_named_with_its_line(table, text, message):
    with pytest.raises(ValueError) as error:  # noqa: PT011 - the wording is compared below
        table(text)
    assert message in str(error.value)


@pytest.mark.parametrize(("header", "message"), [
    (",width,label", "column 1 has no name; is it the number of the row.* index=False"),
    ("Unnamed: 0,width,label", "column 1 has no name but 'Unnamed: 0'; is it the number of"),
    ("width,label, ", "column 3 has no name; is it"),
    (",label,", "column 1 has no name; is it"),
])
def test_a_column_without_a_name_does_not_become_a_feature(table, header, message):
    with pytest.raises(ValueError, match=message):
        table(f"{header}\n0,5,1\n1,6,2\n", label="label")


def test_columns_that_are_named_leave_out_the_one_without_a_name(table):
    text = ",width,label\n0,5,a\n1,6,a\n"
    assert table(text, label="label", columns=["width"]).features.tolist() == [[5], [6]]


def test_a_set_has_no_order_for_classes_and_columns(table):
    with pytest.raises(TypeError, match="CSVDataset: classes: needs an order, and a set has anoth"):
        table(IRIS, classes={"setosa", "virginica"})
    with pytest.raises(TypeError, match="CSVDataset: columns: needs an order"):
        table(IRIS, columns={"sepal", "petal"})


def test_other_mistakes(table, tmp_path):
    with pytest.raises(ValueError, match="line 2: 'setosa' in column 'species' is no number"):
        table(IRIS, kind="number")
    with pytest.raises(ValueError, match="kind is 'class' or 'number', got 'regression'"):
        table(IRIS, kind="regression")
    with pytest.raises(ValueError, match=r"not UTF-8 text \(byte 19\); save it as CSV in UTF-8"):
        table("sepal,species\n5.1,m\u00fcll\n", encoding="latin-1")
    with pytest.raises(FileNotFoundError):
        CSVDataset(tmp_path / "none.csv", "x")


def test_a_table_of_many_columns_is_read(table):
    names = [f"c{i}" for i in range(20_000)]
    data = table(",".join([*names, "species"]) + "\n" + "1," * 20_000 + "setosa\n")
    assert data[0][0].shape == (20_000,)
    assert data.columns == names


def test_gzip_that_unpacks_to_gigabytes_is_refused(tmp_path):
    path = tmp_path / "t.csv.gz"
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write("a,b\n")
        for _ in range(40):
            file.write("0,0\n" * (1 << 18))
    with pytest.raises(ValueError, match=r"t\.csv\.gz: a gzip file that unpacks to more than 100"):
        CSVDataset(path, "b")


@pytest.mark.parametrize("sign", [";", "\t", "|"])
def test_a_table_with_another_delimiter_says_which(tmp_path, sign):
    path = tmp_path / "a.csv"
    path.write_text(f"x{sign}kind\n1{sign}yes\n")
    with pytest.raises(ValueError, match=r"no column 'kind', because .* one column") as error:
        CSVDataset(path, "kind")
    assert f"write delimiter={sign!r}" in str(error.value)
    assert CSVDataset(path, "kind", delimiter=sign).classes == ("yes",)
