"""What every form of a report says: nothing is lost, nothing breaks out of its frame."""

import json
import re
import shutil
import subprocess
from io import StringIO

import jsonschema
import made_runs as made
import pytest
from rich.console import Console

from etude_cuda.lab.fidelity import SECTIONS, SHORT
from etude_cuda.lab.report import html
from etude_cuda.lab.report import json as as_json


@pytest.fixture(scope="module")
def report():
    return made.of_everything()


def data_of(page):
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    return json.loads(found[1])


# ------------------------------------------------------------------ the verdict


def test_a_run_fails_by_errors_and_not_by_advice(report):
    assert report.failed
    assert report.verdict == "2 errors; 1 warning; 3 advice"
    slow = made.report(made.access(17, per=32))
    assert not slow.failed
    assert slow.verdict == "1 advice"
    assert made.report().verdict == "nothing found"


def test_a_run_that_did_not_end_is_not_called_clean():
    stopped = made.build(made.log(made.launch(), {**made.END, "stopped": "interrupted"}), None,
                         program="sum.cu", symbols=made.symbols())
    assert stopped.verdict == "nothing found; stopped early: interrupted"
    died = made.report(exit_status=139)
    assert died.failed
    assert "the program ended with status 139" in died.verdict
    assert made.report(exit_status=-11).verdict.endswith("the program was ended by signal 11")
    cut = made.build(made.parse(made.text(made.launch())[:-9]), None, program="sum.cu",
                     symbols=made.symbols())
    assert "its last line is lost" in cut.text()


def test_fast_mode_says_that_it_hardly_looks_and_claims_nothing_about_accesses():
    fast = made.report(mode="fast")
    assert "fast mode looks at barriers" in fast.verdict
    assert "Not modelled: Fast mode watches no access" in fast.text(200)
    assert not any("Races" in line for line in json.loads(fast.json())["fidelity"]["exact"])


# ------------------------------------------------------------------ text


@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_the_text_fits_its_width(report, width):
    lines = report.text(width).splitlines()
    assert len(lines) > 30
    assert max(map(len, lines)) <= width


def test_the_text_has_every_finding_with_its_line_and_what_to_try(report):
    text = report.text(100)
    for told in report.findings:
        assert told.headline in text
        assert f"{told.file}:{told.line}" in text
    assert "> 8 |         if (threadIdx.x < k) s[threadIdx.x] += s[threadIdx.x + k];" in text
    assert text.count("  try: ") >= len(report.findings)
    assert "32.0 (4.0)" in text
    assert "sum<<<2, 64>>>" in text


def test_what_was_advised_before_is_not_said_again():
    text = made.report(made.access(17, per=32), made.access(6, per=32)).text(200)
    assert text.count("Let neighbouring threads") == 1
    assert text.count("  try: as above") == 1


def test_the_text_is_ascii_where_the_program_is(report):
    assert report.text(50).isascii()


def test_two_lines_apart_are_quoted_with_a_gap_and_one_is_marked():
    told = made.report(made.finding("race", made.place(6, "write"), made.place(10, "read"),
                                    object=made.thing(offset=4), scope="block")).text(90)
    assert re.search(r"  >? +6 \| .*\n +:\n  >? 10 \| ", told)


def test_every_form_says_what_is_exact_modelled_and_not_modelled(report):
    text, page, document = report.text(100), data_of(report.html()), json.loads(report.json())
    assert [name for name, _ in SECTIONS] == [name for name, _ in SHORT]
    for name, lines in SECTIONS:
        assert f"{name.capitalize()}: " in text
        assert [name, list(lines)] in page["fidelity"]
        assert document["fidelity"][name.replace(" ", "_")] == list(lines)


def test_colour_goes_to_a_terminal_alone(report):
    to = Console(file=StringIO(), force_terminal=True, width=90)
    report.show(to)
    assert "\x1b[" in to.file.getvalue()
    assert "\x1b[" not in report.text()


def test_control_characters_of_a_source_reach_no_terminal():
    source = made.SOURCE.replace("x[i];", "x[i]; // \x1b[31m\x07")
    text = made.report(made.RACE, made.access(6), texts={made.FILE: source}).text()
    assert "\x1b" not in text
    assert "\x07" not in text


# ------------------------------------------------------------------ JSON


def test_the_json_keeps_to_its_schema(report):
    schema = as_json.schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for one in (report, made.report(), made.report(mode="fast")):
        jsonschema.validate(json.loads(one.json()), schema)


def test_the_json_has_findings_counters_and_rooflines(report):
    document = json.loads(report.json())
    assert len(document["findings"]) == len(report.findings)
    race = document["findings"][0]
    assert [p["thread"] for p in race["places"]] == [[0, 0, 0, 17, 0, 0], [0, 0, 0, 1, 0, 0]]
    line = next(c for c in document["counters"] if c["line"] == 17)
    assert (line["sectors"], line["ideal"]) == (256, 32)
    assert line["examples"][0]["addresses"][1] == 128
    assert {k["name"] for k in document["kernels"]} == {"sum", "turn"}


def test_a_launch_that_failed_has_no_occupancy_and_no_place_under_the_roof():
    failed = made.report(made.launch(**made.TURN, status="cudaErrorAssert"), made.access(17, 2),
                         made.block(17, launch=2), made.access(6))
    text = failed.text()
    assert "turn<<<1, (32, 32)>>>: failed (cudaErrorAssert)" in text
    assert "sum<<<2, 64>>>: occupancy" in text
    assert not re.search(r"^  turn: ", text, re.MULTILINE)
    assert re.search(r"^  sum: ", text, re.MULTILINE)
    document = json.loads(failed.json())
    jsonschema.validate(document, as_json.schema())
    assert {k["name"]: k["roofline"] is None for k in document["kernels"]} == {
        "sum": False, "turn": True}
    assert [k["name"] for k in data_of(failed.html())["kernels"]] == ["sum"]


# ------------------------------------------------------------------ the page


def test_the_page_needs_nothing_from_outside(report):
    page = report.html()
    assert "default-src 'none'" in page
    for word in ("src=", "@import", "url(", "fetch(", "innerHTML", "insertAdjacentHTML", "eval("):
        assert word not in page, word
    assert set(re.findall(r"https?://[\w./]+", page)) == {"http://www.w3.org/2000/svg"}


def test_what_a_program_says_is_text_and_never_markup():
    assert made.NASTY in made.SOURCE
    evil = made.report(
        made.launch(2, f"k<{made.NASTY}>"), {"event": "note", "text": made.NASTY},
        made.finding("assert", made.place(2), launch=2, expression=made.NASTY),
        program=made.NASTY)
    page = evil.html()
    assert "<script>alert" not in page
    assert page.count("</script>") == 2
    assert any(made.NASTY in text for _, text in data_of(page)["files"][0]["lines"])
    assert data_of(page)["notes"] == [made.NASTY]


def test_a_notebook_gets_the_page_in_a_frame_and_nothing_gets_out_of_its_attribute(report):
    framed = report._repr_html_()
    assert re.fullmatch(r'<iframe srcdoc="[^"]*" title="[^"]*" style="[^"]*"></iframe>', framed)
    assert "&lt;!DOCTYPE html&gt;" in framed


def test_a_long_file_is_shown_where_there_is_something_to_see():
    source = made.SOURCE + "// more\n" * 5000
    page = data_of(made.report(made.RACE, texts={made.FILE: source}).html())
    numbers = [n for n, _ in page["files"][0]["lines"]]
    assert numbers == list(range(1, 8 + html.AROUND + 1))


def test_the_page_is_small(report):
    assert len(report.html()) < 100_000




@pytest.fixture(scope="module")
def drawn(report, tmp_path_factory):
    """The page's document after its scripts ran, in a browser without a screen."""
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser",
                                                   "google-chrome"))), None)
    if browser is None:
        pytest.skip("NOT RUN: needs chromium")
    folder = tmp_path_factory.mktemp("page")
    (folder / "page.html").write_text(report.html())
    done = subprocess.run(
        [browser, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/u",
         "--dump-dom", (folder / "page.html").as_uri()],
        capture_output=True, text=True, timeout=120, check=False)
    if "</html>" not in done.stdout:
        pytest.skip("NOT RUN: chromium does not start here")
    return done.stdout


def test_the_page_draws_every_line_and_every_finding_at_its_line(report, drawn):
    assert len(re.findall(r'class="row[ "]', drawn)) == made.SOURCE.count("\n")
    assert len(re.findall(r'<details id="finding-\d+"', drawn)) == len(report.findings)
    row = drawn.index('id="L0-17"')
    assert row < drawn.index("an uncoalesced load: 32.0 sectors", row) < drawn.index('id="L0-18"')


def test_the_page_draws_the_worst_lines_warp_at_once_lane_by_lane(drawn):
    assert "32 passes over the banks (blocks of 32 x 32)" in drawn
    assert len(re.findall(r'<td class="more">', drawn)) == 31
    assert len(re.findall(r'<td class="used">', drawn)) == 1


def test_the_pages_heat_is_a_bar_and_a_number(drawn):
    assert re.search(r'<i class="heat4" style="width[^>]*></i><b>32.0</b>', drawn)
    assert drawn.count('type="radio"') == 3


def test_nothing_of_the_source_became_an_element(drawn):
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in drawn
    assert "<script>alert" not in drawn
