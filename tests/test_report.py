"""`sorting`: tables that keep every name, corrections, and a page written whole."""

import base64
import csv
import hashlib
import io
import json
import re
import signal
import subprocess
import sys
import tracemalloc
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from tfl_helpers import sorting

ODD_NAMES = [
    "new\nline.jpg",
    "carriage\rreturn.jpg",
    'quote".jpg',
    "<img src=x onerror=alert(1)>.jpg",
    "</script><script>alert(1)</script>.jpg",
    "<!--<script>.jpg",
    "javascript:alert(1)",
    "\udcff\udc80.jpg",
    "\\udcff.jpg",
    "\\\\u000a\\u12.jpg",
    "=cmd|' /C calc'!A0",
    "./=1.jpg",
    "-1.jpg",
    "+.jpg",
    "@home.jpg",
    "'quoted'.jpg",
    " spaces ",
    "NA",
    "1e5",
    "a,b;c\td",
    "gpj.\u202eexe",
    "{{data}}{{pictures}}",
    "x" * 250,
    "\u2028\u2029\x00\x7f.jpg",
]
TEXTS = {"group", "problem", "duplicate_of", "file", "level_1", "level_2"}
# Names as they come out of a file system: any text, and single bytes that are no text
names = st.text(
    st.one_of(
        st.sampled_from("=+-@./\\u0a'\"\n\r\t,;<>&"),
        st.characters(),
        st.characters(categories=["Cs"]),
    ).map(lambda c: c if not 0xD800 <= ord(c) < 0xDC00 else chr(ord(c) + 0x400)),
    min_size=1,
)


def a_table(files, groups=None, **columns):
    n = len(files)
    made = {
        "file": files,
        "group": groups or ["cats"] * n,
        "doubt": np.linspace(0, 0.7, n),
        "unsure": [False] * n,
        "duplicate_of": [""] * n,
        "problem": [""] * n,
        "corrected": [""] * n,
        "level_1": [""] * n,
        "level_2": [""] * n,
    } | columns
    return pd.DataFrame(
        {k: pd.Series(v, dtype=object if k in TEXTS else None) for k, v in made.items()}
    )


def shades(n):
    return np.random.default_rng(0).integers(0, 256, (n, 1, 1, 3), "uint8")


def pictures(n):
    """Thumbnails, each of one colour."""
    return [sorting.thumbnail(shade) for shade in shades(n)]


def data_of(page):
    text = page.read_text("utf-8")
    return json.loads(re.search('id="data">(.*?)</script>', text, re.DOTALL)[1])


@given(st.lists(names, min_size=1, max_size=8, unique=True), st.data())
@example(ODD_NAMES, None)
@settings(max_examples=60, deadline=None)
def test_a_table_reads_back_exactly(tmp_path_factory, files, data):
    n = len(files)
    draw = (lambda s: data.draw(st.lists(s, min_size=n, max_size=n))) if data else lambda s: files
    table = a_table(files, draw(names), duplicate_of=draw(names), problem=draw(names))
    if data:
        table["doubt"] = draw(st.floats(0, 1) | st.just(np.nan))
        table["unsure"] = draw(st.booleans())
        table["corrected"] = pd.Series(draw(st.sampled_from(sorting.CORRECTED)), dtype=object)
    table["level_1"], table["level_2"] = draw(names), ""
    path = sorting.write_table(table, tmp_path_factory.getbasetemp() / "groups.csv")
    table = table.astype(dict.fromkeys(["corrected", "level_1", "level_2"], object))
    pd.testing.assert_frame_equal(sorting.read_table(path), table)
    written = path.read_bytes().decode("utf-8")
    assert len(written.splitlines()) == n + 1
    cells = [cell for row in csv.reader(io.StringIO(written)) for cell in row]
    assert len(cells) == len(sorting.COLUMNS) * (n + 1) and not [
        cell for cell in cells if cell[:1] in set("=+-@\t\r")
    ]


def test_pandas_reads_the_table_and_a_plain_name_stays_as_it_is(tmp_path):
    files = ["a b/c.jpg", "d\\e.jpg", "日本.jpg", "./=f.jpg"]
    table = a_table(files, ["1", "2", "3", "4"])
    read = pd.read_csv(sorting.write_table(table, tmp_path / "groups.csv"))
    assert read["file"].tolist() == [*files[:3], "././=f.jpg"]
    assert read["unsure"].dtype == bool and read["doubt"].tolist() == table["doubt"].tolist()


def test_an_older_table_saved_by_a_spreadsheet_is_understood(tmp_path):
    path = tmp_path / "groups.csv"
    path.write_bytes(
        "\ufefffile;group;confidence;unsure;duplicate_of;problem;comment\r\n"
        'ä.jpg;"dogs; big";0,93;TRUE;;;why\r\nb.jpg;cats;;FALSE;ä.jpg;empty;\r\n'.encode()
    )
    table = sorting.read_table(path)
    assert table["file"].tolist() == ["ä.jpg", "b.jpg"] and table["group"][0] == "dogs; big"
    assert table["doubt"][0] == pytest.approx(0.07) and np.isnan(table["doubt"][1])
    assert table["unsure"].tolist() == [True, False] and table["duplicate_of"][1] == "ä.jpg"
    assert list(table) == list(sorting.COLUMNS) and set(table["corrected"]) == {""}


HEAD = "file,group,doubt,unsure,duplicate_of,problem\n"


@pytest.mark.parametrize(
    "content, says",
    [
        ("", "empty"),
        ("file,group\na,b\n", "columns are missing: doubt, unsure"),
        (HEAD + "a,b,1,False,,\na,c,1,False,,\n", "more than one row: 'a'"),
        (HEAD + "a,b,1,False,\n", "line 2 has 5 cells, not 6"),
        (HEAD + "a,b,1,False,,\nb,b,much,False,,\n", "doubt in line 3 is 'much'"),
        (HEAD + "a,b,1.5,False,,\n", "doubt in line 2 is '1.5'"),
        (HEAD + "a,b,1,perhaps,,\n", "unsure in line 2 is 'perhaps'"),
        (HEAD + ",b,1,False,,\n", "line 2 names no file"),
        (HEAD + '"a,b,1,False,,\n', "not a table of comma-separated values"),
        (HEAD[:-1] + ",corrected\na,b,1,False,,,eaten\n", "corrected in line 2 is 'eaten'"),
    ],
)
def test_what_is_no_table_is_a_clear_error(tmp_path, content, says):
    path = tmp_path / "some.csv"
    path.write_text(content, "utf-8")
    with pytest.raises(ValueError, match=re.escape(says)) as error:
        sorting.read_corrections(path)
    assert "some.csv" in str(error.value)


def test_text_of_another_encoding_and_a_missing_file_are_clear_errors(tmp_path):
    (tmp_path / "latin.csv").write_bytes((HEAD + "ä,b,1,False,,\n").encode("latin-1"))
    with pytest.raises(ValueError, match="not UTF-8 text: save it as 'CSV UTF-8'"):
        sorting.read_table(tmp_path / "latin.csv")
    with pytest.raises(FileNotFoundError):
        sorting.read_table(tmp_path / "none.csv")


def test_corrections_by_hand_are_recognised(tmp_path):
    before = a_table(list("abcdefg"), ["1", "1", "2", "2", "3", "3", ""])
    after = before.assign(group=["cat", "cat", "2", "dog", "cat", "3", ""])
    after.loc[5, "corrected"] = "confirmed"
    read = sorting.read_corrections(sorting.write_table(after, tmp_path / "c.csv"), before)
    assert read["group"].tolist() == after["group"].tolist()
    # all of 1 were renamed; one of 2 and one of 3 were moved
    assert read["corrected"].tolist() == [
        "renamed",
        "renamed",
        "",
        "moved",
        "moved",
        "confirmed",
        "",
    ]


def test_corrections_of_another_folder_or_without_a_group_are_errors(tmp_path):
    before = a_table(list("abc"))
    path = sorting.write_table(a_table(list("abxyzw")), tmp_path / "c.csv")
    with pytest.raises(ValueError, match=r"not in the table .*'x', 'y', 'z' and 1 more"):
        sorting.read_corrections(path, before)
    sorting.write_table(a_table(list("abc"), ["1", "", "1"]), path)
    with pytest.raises(ValueError, match="without a group: 'b'"):
        sorting.read_corrections(path, before)
    sorting.write_table(a_table(list("ab")), path)  # rows that were thrown away are no corrections
    assert sorting.read_corrections(path, before)["file"].tolist() == ["a", "b"]


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, sorted(attributes)))


@given(st.lists(names, min_size=1, max_size=5, unique=True))
@example(ODD_NAMES)
@settings(max_examples=30, deadline=None)
def test_nothing_from_a_name_becomes_markup(tmp_path_factory, files):
    out, n = tmp_path_factory.getbasetemp() / "page.html", len(files)

    def tags(files, title):
        table = a_table(files, files, duplicate_of=files, problem=files)
        sorting.write_gallery(out, table, pictures(n), title=title, note=title)
        return Tags(out.read_text("utf-8")).found

    plain = tags([f"{i}" for i in range(n)], "title")
    assert tags(files, files[0]) == plain
    policy = dict(plain[5][1])["content"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    data = data_of(out)
    exported = pd.DataFrame({name: data["files"] for name in ("file", "duplicate_of")})
    exported = exported.assign(group="a", doubt="", unsure="", problem="")
    exported.to_csv(out.with_suffix(".csv"), index=False)  # as the page's script does
    assert sorting.read_table(out.with_suffix(".csv"))["file"].tolist() == files


def test_the_page_holds_every_picture_and_the_policy_its_own_script(tmp_path):
    block = 500
    n = block + 7
    table = a_table([f"{i}.png" for i in range(n + 1)], ["b10", "b9"] * (n // 2) + ["a", ""])
    table.loc[n, "problem"] = "empty"
    kept = pictures(n)
    page = sorting.write_gallery(
        tmp_path / "deep" / "er" / "page.html", table, kept, progress=False
    )
    text = page.read_text("utf-8")
    blocks = re.findall('class="pictures">(.*?)</script>', text, re.DOTALL)
    lines = [line for block in blocks for line in block.split("\n")]
    assert [len(part.split("\n")) for part in blocks] == [block, 7]
    assert [base64.b64decode(line) for line in lines] == kept  # not compressed a second time
    for i in (0, n - 1):
        image = np.asarray(Image.open(io.BytesIO(kept[i])))
        assert np.abs(image.astype(int) - shades(n)[i]).max() < 16
    data = data_of(page)
    assert data["block"] == block
    assert data["names"] == ["a", "b9", "b10"]
    assert [data["names"][g] for g in data["group"][:-1]] == table["group"].tolist()[:-1]
    assert data["group"][-1] == -1 and data["problems"] == {str(n): "empty"}
    for tag in ("style", "script"):
        inside = re.search(f"<{tag}>(.*?)</{tag}>", text, re.DOTALL)[1].encode()
        digest = base64.b64encode(hashlib.sha256(inside).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in text
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)|innerHTML|\beval\b", text)


def test_very_many_images_have_their_pictures_and_names_beside_the_page(tmp_path):
    groups = ["b"] * 250 + ["a"] * 170 + [""]
    doubt = [*np.linspace(1, 0, 420), np.nan]
    table = a_table([f"{i}.png" for i in range(421)], groups, doubt=doubt)
    table.loc[420, "problem"] = "empty"
    places, kept = np.random.default_rng(0).normal(size=(420, 2)), pictures(420)
    page, beside = tmp_path / "my page.html", tmp_path / "my page_files"
    beside.mkdir()
    (beside / "notes.txt").write_text("mine")
    sorting.write_gallery(page, table, kept, places, many=400, progress=False)
    data, text = data_of(page), page.read_text()
    key = data["key"]
    assert (
        data["beside"]["path"] == f"my%20page_files/{key}" and "img-src data: 'self' file:" in text
    )
    names = {f"{key}-{i}.webp" for i in range(3)} | {f"{key}-names-0.js", f"{key}-map.js"}
    assert {path.name for path in beside.iterdir()} == names | {"notes.txt"}
    assert json.loads(re.search(r"\[.*\]", (beside / f"{key}-names-0.js").read_text())[0]) == [
        *table["file"]
    ]
    # On the sheets: those of "a" before those of "b", the least doubtful first
    sheets = [np.asarray(Image.open(beside / f"{key}-{i}.webp")) for i in range(3)]
    first = [*range(419, 249, -1), *range(249, -1, -1)]
    for at, image in enumerate(first):
        y, x = divmod(at % 200, 20)
        seen = sheets[at // 200][y * 64 + 8 : y * 64 + 56, x * 64 + 8 : x * 64 + 56].mean((0, 1))
        wanted = np.asarray(Image.open(io.BytesIO(kept[image])).convert("RGB")).mean((0, 1))
        assert np.abs(seen - wanted).max() < 12, (at, image)
    # Another page of that name takes away what belonged to this one, and nothing of the user's
    sorting.write_gallery(page, table, kept, many=400, progress=False)
    left = {path.name for path in beside.iterdir()} - {"notes.txt"}
    assert left and not left & names
    sorting.write_gallery(page, table, kept, progress=False)
    assert [path.name for path in beside.iterdir()] == ["notes.txt"]
    assert "img-src data:; " in page.read_text()


def test_places_keep_their_shape_and_what_is_not_finite_is_left_out(tmp_path):
    places = np.array([[0, 0], [2, 1], [np.nan, 1], [1, np.inf]])
    page = sorting.write_gallery(tmp_path / "p.html", a_table(list("abcd")), pictures(4), places)
    x, y = np.reshape(data_of(page)["places"], (4, 2)).T
    assert x.tolist() == [0, 4095, -1, -1]
    assert y[0] - y[1] == pytest.approx(4095 / 2, abs=1) and y[2] == -1  # half as high; y is up
    page = sorting.write_gallery(tmp_path / "p.html", a_table(["a"]), pictures(1), np.zeros((1, 2)))
    assert max(data_of(page)["places"]) <= 4095 and min(data_of(page)["places"]) >= 0


def test_an_empty_folder_and_one_of_problems_alone_get_a_page(tmp_path):
    nothing = a_table([])
    problems = a_table(["a", "b"], ["", ""], doubt=[np.nan, np.nan], problem=["empty", "huge"])
    for table in (nothing, problems):
        page = sorting.write_gallery(tmp_path / "p.html", table, [], None)
        assert data_of(page)["names"] == [] and len(data_of(page)["files"]) == len(table)
        sorting.write_gallery(tmp_path / "p.html", table, [], np.zeros((0, 2)))
        read = sorting.read_table(sorting.write_table(table, tmp_path / "t.csv"))
        assert read["problem"].tolist() == table["problem"].tolist()


@pytest.mark.parametrize(
    "change, says",
    [
        ({"thumbnails": pictures(3)}, "2 rows of the table have a group, but there are 3"),
        ({"places": np.zeros((3, 2))}, "places are (2, 2), not (3, 2)"),
        ({"table": a_table(["a", "b"]).drop(columns="problem")}, "columns are missing: problem"),
        ({"table": a_table(["a", "a"])}, "more than one row: 'a'"),
        ({"table": a_table(["a", "b"], [1, 2])}, "group in line 2 is 1, not text"),
        ({"table": a_table(["a", "b"], doubt=[1, 2])}, "doubt in line 3 is 2"),
    ],
)
def test_parts_that_do_not_belong_together_are_clear_errors(tmp_path, change, says):
    parts = {"table": a_table(["a", "b"]), "thumbnails": pictures(2), "places": np.zeros((2, 2))}
    with pytest.raises(ValueError, match=re.escape(says)):
        sorting.write_gallery(tmp_path / "page.html", **parts | change)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_old_page_and_nothing_else(tmp_path):
    resource = pytest.importorskip("resource", reason="needs limits on files, as Unix has them")
    table, page = a_table([f"{i}" for i in range(600)]), tmp_path / "page.html"
    page.write_text("old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            sorting.write_gallery(page, table, pictures(600), progress=False)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"] and page.read_text() == "old"
    with pytest.raises(OSError):
        sorting.write_table(table, page / "groups.csv")


KILLED = """
import sys, time, numpy as np, pandas as pd
from tfl_helpers import sorting
n = 2_000
table = pd.DataFrame({"file": [str(i) for i in range(n)], "group": "a", "doubt": 0.0,
                      "unsure": False, "duplicate_of": "", "problem": ""})
picture = sorting.thumbnail(np.zeros((64, 64, 3), "uint8"))

class Pictures(list):
    def __getitem__(self, at):
        if at == n // 2:
            print("middle", flush=True)
            time.sleep(600)
        return picture

sorting.write_gallery(sys.argv[1], table, Pictures([picture] * n), progress=False,
                      many=int(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("many", [2_000, 1_999], ids=["one file", "a folder beside"])
def test_a_kill_leaves_the_old_page(tmp_path, many):
    page = tmp_path / "page.html"
    page.write_text("old")
    job = [sys.executable, "-c", KILLED, str(page), str(many)]
    process = subprocess.Popen(job, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"middle\n"
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL and page.read_text() == "old"


def test_pictures_go_into_the_page_with_little_memory(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), "uint8")
    n, kept = 4000, sorting.thumbnail(noise)
    table = a_table([f"{i}" for i in range(n)])
    tracemalloc.start()
    page = sorting.write_gallery(tmp_path / "page.html", table, [kept] * n, progress=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12e6 < page.stat().st_size


def test_a_thumbnail_shows_the_middle_in_its_own_proportions():
    wide = np.zeros((40, 120, 3), "uint8")
    wide[:, :40, 0] = wide[:, 40:80, 1] = wide[:, 80:, 2] = 255  # red, green, blue
    squeezed = np.asarray(Image.fromarray(wide).resize((60, 60), Image.Resampling.NEAREST))
    for kept in (sorting.thumbnail(wide), sorting.thumbnail(squeezed, wide.shape[:2])):
        image = Image.open(io.BytesIO(kept))
        assert image.format == "WEBP" and image.size == (64, 64)
        red, green, blue = np.asarray(image).reshape(-1, 3).T.astype(int)
        assert green.min() > 180 and max(red.max(), blue.max()) < 75
