"""The page that `sorting.write_gallery` writes, used in a browser: with mouse, keys and finger."""

import csv
import io
import re
import shutil
import time

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tfl_helpers import sorting

BROWSER = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not BROWSER, reason="needs Chromium"),
]
ODD_NAMES = [
    "<img src=x onerror=document.title='run'>.jpg",
    "</script><script>document.title='run'</script>.jpg",
    "javascript:document.title='run'",
    "'\"><svg onload=document.title='run'>",
    "a\nb,\"c\"\t'd'.jpg",
    "=1+1.jpg",
    "\udcff\\udcff.jpg",
    "gpj.\u202eexe \u200f\u05e9\u05dc\u05d5\u05dd.jpg",
    "x" * 250,
]
CONTRAST = """() => {
  const parts = (c) => (c.match(/[\\d.]+/g) ?? [0, 0, 0, 0]).map(Number);
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = parts(getComputedStyle(e).backgroundColor);
      if ((c[3] ?? 1) > 0) return c;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
  };
  return [...document.querySelectorAll("body *")].filter((e) => e.checkVisibility() && !e.disabled
    && (e.matches("input") || [...e.childNodes].some((c) => c.nodeType === 3 && c.data.trim())))
    .map((e) => {
      const [a, b] = [light(parts(getComputedStyle(e).color)), light(behind(e))];
      return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.outerHTML.slice(0, 80)];
    });
}"""


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


def a_table(n=90, names=("ants", "bees", "cats"), problems=2):
    """Rows in turn of each group, ever more doubtful, but of the unsure, every tenth, ever less."""
    rows = [
        (
            f"set/{names[i % len(names)]} {i:04d}.jpg",
            names[i % len(names)],
            abs(i % 10 // 9 - (i + 1) / n),
            i % 10 == 9,
        )
        for i in range(n)
    ]
    rows += [(f"bad {i}.jpg", "", np.nan, False) for i in range(problems)]
    table = pd.DataFrame(rows, columns=["file", "group", "doubt", "unsure"])
    table["duplicate_of"] = ""
    table["problem"] = ["zero bytes" if group == "" else "" for group in table["group"]]
    return table.astype({"file": object, "group": object, "problem": object})


def pictures(table):
    """Thumbnails of 90 colours in turn, one of each row that has a group."""
    shades = np.random.default_rng(0).integers(60, 256, (90, 1, 1, 3), "uint8")
    made = [sorting.thumbnail(shade) for shade in shades]
    return [made[i % 90] for i in np.flatnonzero(table["group"] != "")]


def places(table):
    """Each group on its own side of the map, in rows with gaps that a mouse can hit."""
    codes = pd.factorize(table["group"][table["group"] != ""])[0]
    order = pd.Series(codes).groupby(codes).cumcount().to_numpy()
    return np.stack([codes * 10 + order % 6, order // 6], 1).astype(float)


@pytest.fixture
def show(chromium, tmp_path):
    """Write a page of a table and open it; whatever it loads or complains of fails the test."""
    contexts, wrong = [], []

    def opened(table=None, *, write=None, ready=True, storage=True, pictured=None, **options):
        table = a_table() if table is None else table
        path = tmp_path / "gallery.html"
        write = {"places": places(table), "progress": False} | (write or {})
        sorting.write_gallery(path, table, pictured or pictures(table), **write)
        context = chromium.new_context(
            **{"viewport": {"width": 1280, "height": 1000}, "offline": True} | options
        )
        contexts.append(context)
        if not storage:
            context.add_init_script(
                "Object.defineProperty(window, 'localStorage', {get() { throw new Error('no') }})"
            )
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        page.on(
            "request",
            lambda asked: (
                None
                if asked.url.split(":")[0] in ("data", "blob")
                or asked.url.split("#")[0] == path.as_uri()
                or asked.url.startswith(path.with_name("gallery_files").as_uri())
                else wrong.append(asked.url)
            ),
        )
        page.goto(path.as_uri())
        if ready:
            page.wait_for_selector("[data-ready]", state="attached")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert wrong == []


def group(page, name):
    return page.get_by_role("region", name=name, exact=True)


def open_tab(page, name):
    page.get_by_role("tab", name=re.compile(f"^{name}")).click()


def images(page, name, kind="sure"):
    return group(page, name).locator(f".{kind} img")


def show_all(page):
    """Press all that says “Show more”."""
    more = page.get_by_role("button", name=re.compile("^Show .* more"))
    while more.count():
        more.first.click()


def rename(page, name, new):
    group(page, name).get_by_role("textbox").fill(new)
    page.keyboard.press("Enter")


def said(page):
    return page.get_by_role("status").inner_text()


def alts(locator):
    return locator.evaluate_all("all => all.map(i => i.alt)")


def export(page, tmp_path, before):
    with page.expect_download() as started:
        page.get_by_role("button", name="Save answers").click()
    assert started.value.suggested_filename == "groups_corrected.csv"
    started.value.save_as(tmp_path / "groups_corrected.csv")
    return sorting.read_corrections(tmp_path / "groups_corrected.csv", before)


def hover(page, i):
    """Put the mouse on an image's point of the map."""
    open_tab(page, "Map")
    x, y = page.evaluate(
        "i => { const [x, y] = onScreen(i), b = plane.getBoundingClientRect();"
        " return [b.left + x, b.top + y]; }",
        i,
    )
    page.mouse.move(x, y)
    return x, y


def test_groups_are_rows_with_the_least_doubtful_first_and_the_unsure_apart(show):
    page = show(write={"title": "Holiday <photos>", "note": "Sorted & done"})
    assert page.get_by_role("heading", level=1).inner_text() == "Holiday <photos>"
    assert page.locator("header > p").inner_text() == "Sorted & done"
    counts = page.locator("#counts li").all_inner_texts()
    assert counts == ["90 images", "3 groups", "9 unsure", "2 files with a problem"]
    assert [images(page, name).count() for name in ("ants", "bees", "cats")] == [10] * 3
    assert images(page, "ants").nth(0).bounding_box()["width"] > 100
    show_all(page)
    for name in ("ants", "bees", "cats"):
        assert group(page, name).get_by_role("textbox").input_value() == name
        assert "30 images" in group(page, name).inner_text()
        sure, unsure = alts(images(page, name)), alts(images(page, name, "unsure"))
        assert len(sure) == 27 and len(unsure) == 3
        assert sure == sorted(sure) and unsure == sorted(unsure)  # the most doubtful first
        assert all(re.fullmatch(rf"set/{name} \d+\.jpg, doubt 0\.\d\d", alt) for alt in sure)
        assert all(alt.endswith(", unsure") for alt in unsure)
    loaded = page.locator("#groups img").evaluate_all("all => all.map(i => i.naturalWidth)")
    assert loaded == [64] * 90
    open_tab(page, "Problems")
    problems = page.get_by_role("region", name="Zero bytes")
    assert problems.get_by_role("heading").inner_text() == "Zero bytes (2)"
    assert problems.locator("li").all_inner_texts() == ["bad 0.jpg", "bad 1.jpg"]


def test_hovering_over_the_map_or_a_thumbnail_shows_the_image(show):
    page, table = show(), a_table()
    card = page.locator("#card")
    assert card.is_hidden()
    for i in (0, 1, 29):
        hover(page, i)
        name = ("ants", "bees", "cats")[i % 3]
        expected = [f"set/{name} {i:04d}.jpg", name, f"doubt {table.doubt[i]:.2f}"]
        assert card.inner_text().split("\n")[:3] == [
            *expected[:2],
            expected[2] + (", unsure" if i % 10 == 9 else ""),
        ]
        assert card.locator("img").evaluate("i => i.naturalWidth") == 64
    x, y = hover(page, 0)
    page.mouse.move(x, y - 150)  # nothing is there
    assert card.is_hidden()
    open_tab(page, "Groups")
    images(page, "cats").nth(3).hover()
    assert card.is_visible() and "set/cats 0011.jpg" in card.inner_text()


def test_the_map_works_with_keys_alone(show):
    page = show()
    open_tab(page, "Map")
    page.locator("#canvas").focus()
    page.keyboard.press("ArrowRight")
    first = said(page)
    assert re.fullmatch(r"set/\w+ \d+\.jpg, doubt [01]\.\d\d(, unsure)?, in “\w+”\.", first)
    page.keyboard.press("ArrowRight")
    assert said(page) != first and page.locator("#card").is_visible()
    name = re.match("[^,]+", said(page))[0]
    page.keyboard.press("Enter")  # shows it in its group, the first of its row
    assert page.evaluate("document.activeElement.querySelector('img').alt").startswith(name)
    assert alts(page.locator("[aria-selected=true] img"))[0].startswith(name)
    open_tab(page, "Map")
    page.locator("#canvas").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press(" ")
    for key in ("+", "+", "-", "ArrowLeft", " ", "0"):
        page.keyboard.press(key)
    assert page.evaluate("view.zoom") == 1 and page.evaluate("selected.size") == 3
    page.keyboard.press("m")
    assert page.get_by_role("dialog").is_visible()


def test_the_map_can_be_zoomed_and_dragged_and_clicked(show):
    page = show()
    x, y = hover(page, 40)
    page.mouse.wheel(0, -100)
    assert page.evaluate("view.zoom") > 1
    moved = page.evaluate("onScreen(40)")
    page.mouse.move(x, y + 5)
    page.mouse.down()
    page.mouse.move(x + 40, y + 35, steps=4)
    page.mouse.up()
    now = page.evaluate("onScreen(40)")
    assert np.subtract(now, moved) == pytest.approx([40, 30], abs=3)
    page.mouse.click(*hover(page, 40))  # goes to the image, in its group
    assert page.get_by_role("tab", selected=True).inner_text() == "Groups 3"
    assert page.evaluate("document.activeElement.image") == 40
    assert alts(page.locator("[aria-selected=true] img")) == ["set/bees 0040.jpg, doubt 0.46"]


def test_a_brush_selects_what_lies_within_by_mouse_and_by_finger(show):
    page = show()
    at = {i: hover(page, i) for i in (0, 3, 9)}  # the first two of a row, and one of the next
    page.keyboard.down("Shift")
    page.mouse.move(at[0][0] - 12, at[0][1] - 12)
    page.mouse.down()
    page.mouse.move(at[3][0] + 10, at[3][1] + 10, steps=3)
    assert page.locator("#brush").is_visible()
    page.mouse.up()
    page.keyboard.up("Shift")
    assert said(page) == "2 images selected." and page.locator("#brush").is_hidden()
    assert page.evaluate("[...selected].sort()") == [0, 3]
    page.get_by_role("button", name="Select", exact=True).click()
    page.mouse.move(at[0][0] - 12, at[0][1] - 12)
    page.mouse.down()
    page.mouse.move(at[9][0] + 10, at[9][1] + 10, steps=3)
    page.mouse.up()
    assert page.evaluate("selected.size") == 4
    page.locator("#canvas").focus()
    page.keyboard.press("m")
    page.get_by_role("dialog").get_by_role("button", name="cats").click()
    assert said(page) == "4 images moved to “cats”."


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_map_shows_pictures_that_do_not_overlap_more_when_zoomed_in(show, scheme):
    page = show(color_scheme=scheme)
    hover(page, 40)
    for _ in range(300):  # half a minute
        if page.evaluate("[...decoded.values()].every(Boolean)"):
            break
        page.wait_for_timeout(100)
    else:
        pytest.fail("a picture was never decoded")
    page.evaluate("paint()")
    shown = "mapped.filter((i) => sampled[i]).map((i) => [...onScreen(i), i])"
    few = page.evaluate(shown)
    gaps = [np.abs(np.subtract(a[:2], b[:2])).max() for a in few for b in few if a[2] < b[2]]
    assert 3 < len(few) < 90 and min(gaps) >= 44
    x, y, i = few[0]  # its picture is there, not only a mark
    of_map = "plane.getContext('2d').getImageData(x + 8, y + 8, 1, 1).data"
    drawn = page.evaluate(f"([x, y]) => [...{of_map}]".replace("x + 8, y + 8", "x+8, y+8"), [x, y])
    page.evaluate("zoom(8)")
    page.evaluate("paint()")
    assert len(page.evaluate(shown)) == 90  # all have room
    shade = np.random.default_rng(0).integers(60, 256, (90, 1, 1, 3), "uint8")[i % 90, 0, 0]
    assert np.abs(np.subtract(drawn[:3], shade.astype(int))).max() < 16
    back = page.evaluate("getComputedStyle(document.querySelector('#plane')).backgroundColor")
    assert back == ("rgb(241, 243, 245)" if scheme == "light" else "rgb(20, 23, 26)")
    page.emulate_media(color_scheme="dark" if scheme == "light" else "light")
    assert back != page.evaluate(
        "getComputedStyle(document.querySelector('#plane')).backgroundColor"
    )


def test_tabs_by_mouse_and_keys_and_the_open_one_outlives_a_reload(show):
    page = show()
    tabs = page.get_by_role("tab")
    assert tabs.all_inner_texts() == ["Groups 3", "Unsure 9", "Map 90", "Problems 2"]
    assert page.get_by_role("tablist").count() == page.get_by_role("tabpanel").count() == 1
    page.get_by_role("tab", name="Unsure").click()
    assert page.get_by_role("tabpanel", name="Unsure 9").is_visible()
    page.keyboard.press("ArrowRight")
    assert page.locator("#canvas").is_visible() and not page.locator("#groups").is_visible()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.get_by_role("tab", selected=True).inner_text() == "Groups 3"
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.id") == "tab-problems"
    assert tabs.evaluate_all("all => all.map((t) => t.tabIndex)") == [-1, -1, -1, 0]
    assert page.url.endswith("#tab=problems")
    page.reload()
    page.wait_for_selector("[data-ready]", state="attached")
    assert page.get_by_role("tabpanel", name="Problems 2").is_visible()
    page.evaluate("location.hash = '#tab=map'")
    page.locator("#canvas").wait_for()
    open_tab(page, "Groups")
    bar = page.locator("#tools").bounding_box()
    assert bar["y"] == pytest.approx(0, abs=1)  # and what is in the tab stands right below
    top = group(page, "ants").bounding_box()["y"]
    assert bar["height"] - 2 <= top <= bar["height"] + 30


def test_the_unsure_are_gone_through_by_keys(show, tmp_path):
    table = a_table()
    page = show(table)
    open_tab(page, "Unsure")
    grid = page.locator("#review [role=option]")
    doubts = [float(re.search(r"doubt (\d\.\d\d)", alt)[1]) for alt in alts(grid.locator("img"))]
    assert len(doubts) == 9 and doubts == sorted(doubts, reverse=True)
    names = grid.locator(".below").all_inner_texts()
    assert (
        names[:4] == ["ants", "bees", "cats", "ants"] and grid.first.bounding_box()["width"] > 120
    )
    looked = page.locator("#looks")
    assert looked.inner_text().strip() == "0 of 9 looked at"
    grid.first.focus()
    page.keyboard.press("Enter")
    assert said(page) == "1 image confirmed." and looked.inner_text().strip() == "1 of 9 looked at"
    page.keyboard.press("ArrowRight")
    assert page.evaluate("selected.size") == 0  # arrows only walk here
    page.keyboard.press("3")
    assert said(page) == "1 image moved to “cats”."  # the third name
    page.keyboard.press("m")
    page.keyboard.type("hornets")
    page.keyboard.press("Enter")
    assert said(page) == "1 image moved to “hornets”."
    page.keyboard.press("c")
    assert looked.inner_text().strip() == "4 of 9 looked at" and grid.count() == 5
    assert page.get_by_role("tab", selected=True).inner_text() == "Unsure 5"
    read = export(page, tmp_path, table)
    assert read["corrected"].value_counts().to_dict() == {"": 88, "confirmed": 3, "moved": 1}
    page.keyboard.press("Control+z")
    assert looked.inner_text().strip() == "3 of 9 looked at"
    for _ in range(6):
        page.locator("#review [tabindex='0']").focus()
        page.keyboard.press("Enter")
    assert grid.count() == 0 and page.locator("#none-unsure").is_visible()
    assert page.locator("#rest").is_hidden()


def test_of_one_name_the_wrong_are_marked_and_the_rest_is_right(show, tmp_path):
    table = a_table(600)
    page = show(table)
    group(page, "bees").get_by_role("button", name="20 unsure").click()
    grid = page.locator("#review [role=option]")
    assert grid.count() == 20 and set(grid.locator(".below").all_inner_texts()) == {"bees"}
    for i in (2, 5):
        grid.nth(i).click()
    assert said(page) == "2 images selected."
    wrong = [re.match("[^,]+", alt)[0] for alt in alts(page.locator("[aria-selected=true] img"))]
    page.get_by_role("button", name="The rest is right").click()
    assert said(page).startswith("18 images confirmed. 2 images marked as wrong are left")
    assert grid.count() == 2 and page.evaluate("selected.size") == 2
    page.locator("#renames button", has_text="ants").click()
    assert page.get_by_text("No image of this group is unsure.").is_visible()
    read = export(page, tmp_path, table).set_index("file")
    assert set(read["group"][wrong]) == {"ants"} and (read["corrected"] == "confirmed").sum() == 18
    page.locator("#which").select_option("-1")
    assert (
        grid.count() == 40 and page.locator("#looks").inner_text().strip() == "20 of 60 looked at"
    )


def test_images_are_dragged_to_another_group(show, tmp_path):
    table = a_table()
    page = show(table)
    options = group(page, "ants").get_by_role("option")
    options.nth(0).click()
    options.nth(1).click(modifiers=["Control"])
    options.nth(1).drag_to(group(page, "bees").get_by_role("option").nth(2))
    assert said(page) == "2 images moved to “bees”."
    box = group(page, "ants").get_by_role("option").nth(0).bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + 40, box["y"] + 40, steps=3)
    page.locator("#drops div", has_text="cats").hover()  # all groups are at hand
    page.mouse.up()
    assert said(page) == "1 image moved to “cats”." and page.locator("#drops").is_hidden()
    read = export(page, tmp_path, table)
    assert read["group"].value_counts().to_dict() == {"bees": 32, "cats": 31, "ants": 27, "": 2}


def test_a_group_is_split_by_its_places_on_the_map(show, tmp_path):
    table = a_table().assign(group=lambda t: t["group"].replace({"bees": "ants"}))
    apart = np.array([[i % 2 * 9 + i % 5, i // 9] for i in range(90)], float)  # in two heaps
    page = show(table, write={"places": apart})
    group(page, "ants").get_by_role("button", name="Split").click()
    assert said(page) == "“ants” was split: 30 images are now “ants 2”."
    read = export(page, tmp_path, table)
    odd = np.arange(92) % 2 == 1
    halves = [set(read["group"][part & (table["group"] == "ants")]) for part in (odd, ~odd)]
    assert sorted(map(sorted, halves)) == [["ants"], ["ants 2"]]
    assert set(read["corrected"][read["group"] == "ants 2"]) == {"renamed"}
    page.keyboard.press("Control+z")
    assert group(page, "ants 2").count() == 0
    assert (export(page, tmp_path, table)["corrected"] == "").all()


def test_problems_show_copies_side_by_side_and_reasons_with_their_number(show):
    table = a_table(problems=3)
    kept = pictures(table)
    kept[4] = kept[1]  # the same picture; another of 4 only looks like it
    for copy, first in ((4, 1), (7, 1), (10, 3)):
        table.loc[copy, "duplicate_of"] = table["file"][first]
    table.loc[[2, 5], "problem"] = ["blurred; dark", "dark"]
    page = show(table, pictured=kept)
    assert page.get_by_role("tab", name="Problems").inner_text() == "Problems 8"
    open_tab(page, "Problems")
    titles = page.locator("#problems h2").all_inner_texts()
    assert titles == [
        "Zero bytes (3)",
        "Copies: the same picture (1)",
        "Near-duplicates: they look nearly the same (2)",
        "Dark (2)",
        "Blurred (1)",
    ]
    pairs = page.locator(".pairs li").evaluate_all(
        "all => all.map((row) => [...row.children].map((f) => f.textContent))"
    )
    file = table["file"]
    assert pairs == [[file[1], file[4]], [file[1], file[7]], [file[3], file[10]]]
    boxes = [page.locator(".pairs img").nth(i).bounding_box() for i in (0, 1)]
    assert boxes[0]["y"] == boxes[1]["y"] and boxes[1]["x"] > boxes[0]["x"]
    page.locator(".pairs button").nth(1).click()
    assert page.evaluate("document.activeElement.image") == 4


def test_answers_that_excel_saved_again_are_read_back(show, tmp_path):
    table = a_table()
    table["file"] = table["file"].str.replace("set/", "Größe; 长/")
    page = show(table)
    rename(page, "ants", "Ameisen; rote")
    page.locator("#groups [role=option]").nth(12).click()
    page.keyboard.press("c")
    mine = export(page, tmp_path, table)
    text = (tmp_path / "groups_corrected.csv").read_text("utf-8")
    rows = list(csv.reader(io.StringIO(text)))
    for row in rows[1:]:
        row[2] = row[2].replace(".", ",")
        row[3] = {"True": "WAHR", "False": "FALSCH"}[row[3]]
    with (tmp_path / "excel.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=";", lineterminator="\r\n").writerows(rows)
    again = sorting.read_corrections(tmp_path / "excel.csv", table)
    pd.testing.assert_frame_equal(again, mine)
    assert set(again["corrected"]) == {"", "renamed", "confirmed"}


def test_renaming(show, tmp_path):
    table = a_table()
    page = show(table)
    box = group(page, "ants").get_by_role("textbox")
    box.fill("wasps")
    box.press("Escape")
    assert group(page, "ants").get_by_role("textbox").input_value() == "ants"
    box.fill("  ")
    box.press("Enter")
    assert said(page) == "A group needs a name: nothing was changed."
    assert export(page, tmp_path, table)["corrected"].tolist() == [""] * len(table)
    group(page, "ants").get_by_role("textbox").fill(' =fire \u202e ants, "red" ')
    page.keyboard.press("Enter")
    name = '=fire ants, "red"'
    assert said(page) == f"“ants” is now “{name}”."
    open_tab(page, "Map")
    assert name in page.locator("#legend").inner_text()
    open_tab(page, "Groups")
    read = export(page, tmp_path, table)
    was_ants = table["group"] == "ants"
    assert set(read["group"][was_ants]) == {name} and set(read["corrected"][was_ants]) == {
        "renamed"
    }
    rest = ["file", "doubt", "unsure", "duplicate_of", "problem"]
    pd.testing.assert_frame_equal(read[rest], table[rest].astype({"duplicate_of": object}))
    assert read[~was_ants]["group"].tolist() == table[~was_ants]["group"].tolist()


def test_the_name_of_another_group_joins_the_two_and_undo_parts_them(show, tmp_path):
    table = a_table()
    page = show(table)
    group(page, "ants").get_by_role("textbox").fill("cats")
    page.keyboard.press("Enter")
    assert said(page) == "“ants” joined “cats”: 30 images. Undo takes it back."
    assert group(page, "ants").count() == 0 and "60 images" in group(page, "cats").inner_text()
    read = export(page, tmp_path, table)
    assert read["group"].value_counts().to_dict() == {"cats": 60, "bees": 30, "": 2}
    assert (read["corrected"] == "renamed").sum() == 30
    page.locator("#undo").click()
    assert "30 images" in group(page, "ants").inner_text()
    assert (export(page, tmp_path, table)["corrected"] == "").all()


def test_moving_with_the_mouse(show, tmp_path):
    table = a_table()
    page = show(table)
    assert page.get_by_role("button", name="Move to…").is_disabled()
    show_all(page)
    ants = group(page, "ants").locator(".sure [role=option]")
    ants.nth(1).click()
    ants.nth(4).click(modifiers=["Shift"])
    group(page, "bees").locator(".unsure [role=option]").nth(0).click(modifiers=["Control"])
    ants.nth(2).click(modifiers=["Control"])
    assert said(page) == "4 images selected."
    chosen = [re.match("[^,]+", alt)[0] for alt in alts(page.locator("[aria-selected=true] img"))]
    page.get_by_role("button", name="Move to…").click()
    assert page.get_by_role("heading", name="Move 4 images to").is_visible()
    assert page.locator("#choices button").all_inner_texts() == ["ants", "bees", "cats"]
    page.locator("#target").fill("AT")
    assert page.locator("#choices button").all_inner_texts() == ["cats"]
    page.locator("#choices button").click()
    assert said(page) == "4 images moved to “cats”."
    assert "34 images" in group(page, "cats").inner_text()
    first = alts(images(page, "cats"))[:4]  # one's own word comes first, and is no longer unsure
    assert all(alt.endswith(", your word") for alt in first)
    assert sorted(re.match("[^,]+", alt)[0] for alt in first) == sorted(chosen)
    ants.nth(0).click()
    page.get_by_role("button", name="Is right").click()
    read = export(page, tmp_path, table).set_index("file")
    assert set(read["group"][chosen]) == {"cats"} and not read["unsure"][chosen].any()
    assert set(read["corrected"][chosen]) == {"moved"}
    assert read.index[read["corrected"] == "confirmed"].tolist() == ["set/ants 0000.jpg"]
    assert (read["corrected"] == "").sum() == len(table) - 5
    group(page, "ants").get_by_role("button", name="Select all").click()
    assert said(page) == "27 images selected."


def test_everything_with_keys_alone(show, tmp_path):
    table = a_table()
    page = show(table)
    show_all(page)
    group(page, "bees").get_by_role("button", name="Join…").focus()
    page.keyboard.press("Tab")
    page.keyboard.press("Home")
    here = "document.activeElement.querySelector('img').alt"
    assert page.evaluate(here).startswith("set/bees 0001")
    option = group(page, "bees").get_by_role("option", name="set/bees 0004.jpg, doubt 0.06")
    assert option.count() == 1  # what a screen reader says of it
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
    assert float(outline[:-2]) >= 3
    page.keyboard.press("ArrowRight")
    assert alts(page.locator("[aria-selected=true] img")) == ["set/bees 0004.jpg, doubt 0.06"]
    page.keyboard.press("ArrowDown")
    row = page.evaluate("Math.round(document.activeElement.getBoundingClientRect().left)")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("Math.round(document.activeElement.getBoundingClientRect().left)") == row
    assert page.evaluate(here).startswith("set/bees 0004")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowRight")
    assert page.evaluate("selected.size") == 3
    page.keyboard.press("m")
    page.keyboard.type("hornets")
    assert page.get_by_role("button", name="Move to a new group").is_enabled()
    page.keyboard.press("Enter")
    assert said(page) == "3 images moved to “hornets”."
    assert page.evaluate(here).startswith("set/bees 0013")  # the focus is on what came next
    page.keyboard.press("Home")
    page.keyboard.press("c")
    assert said(page) == "1 image confirmed."
    page.keyboard.press("End")
    page.keyboard.press("Tab")  # the unsure ones have a stop of their own
    assert page.evaluate("document.activeElement.parentNode.ariaLabel") == "bees, unsure"
    page.keyboard.press("Control+a")
    assert page.evaluate("selected.size") == 3
    page.keyboard.press("Space")
    assert page.evaluate("selected.size") == 2
    page.keyboard.press("Escape")
    assert said(page) == "Nothing is selected."
    read = export(page, tmp_path, table)
    assert read["file"][read["group"] == "hornets"].tolist() == [
        f"set/bees {i:04d}.jpg" for i in (4, 7, 10)
    ]
    group(page, "hornets").get_by_role("option").nth(1).click()
    for _ in range(2):
        page.keyboard.press("Control+z")
    assert page.evaluate(here).startswith("set/bees 0007")  # back in its group, and still focused
    assert (export(page, tmp_path, table)["corrected"] == "").all()


def test_corrections_outlive_a_closed_tab_and_leaving_warns(show, tmp_path):
    table = a_table()
    page = show(table)
    page.locator("#groups [role=option]").nth(0).click()
    page.keyboard.press("m")
    page.keyboard.type("new")
    page.keyboard.press("Enter")
    group(page, "cats").get_by_role("textbox").fill("lions")
    page.keyboard.press("Enter")
    asked = []
    page.on("dialog", lambda dialog: (asked.append(dialog.type), dialog.accept()))
    page.reload()
    page.wait_for_selector("[data-ready]", state="attached")
    assert asked == ["beforeunload"] and said(page).startswith("Your earlier corrections are back")
    read = export(page, tmp_path, table)
    assert read["corrected"].value_counts().to_dict() == {"": 61, "renamed": 30, "moved": 1}
    assert set(read["group"]) == {"ants", "bees", "lions", "new", ""}
    page.reload()  # exported: nothing to warn of
    page.wait_for_selector("[data-ready]", state="attached")
    assert asked == ["beforeunload"]
    page.get_by_role("button", name="Start over").click()
    assert group(page, "cats").is_visible() and page.locator("#reset").is_hidden()
    assert (export(page, tmp_path, table)["corrected"] == "").all()
    page.locator("#undo").click()
    assert group(page, "lions").is_visible()


def test_a_change_in_another_window_is_heard_and_none_is_lost(show, tmp_path):
    table = a_table()
    page = show(table)
    other = page.context.new_page()
    other.goto(page.url)
    other.wait_for_selector("[data-ready]", state="attached")
    rename(page, "cats", "lions")
    other.locator("#said", has_text="Changed in another window: both").wait_for()
    rename(other, "bees", "wasps")
    page.locator("#said", has_text="Changed in another window: both").wait_for()
    for each in (page, other):
        assert group(each, "lions").is_visible() and group(each, "wasps").is_visible()
    # One that did not hear of it, as its window slept, takes nothing back
    page.evaluate(
        "localStorage.setItem(memory, JSON.stringify({ edits: [['names', 0, 'termites']],"
        " exported: false, stamp: 'x' }))"
    )
    rename(page, "lions", "tigers")
    assert said(page).startswith("Changed in another window meanwhile")
    assert group(page, "termites").is_visible() and group(page, "cats").is_visible()
    rename(page, "cats", "tigers")
    assert set(export(page, tmp_path, table)["group"]) == {"termites", "bees", "tigers", ""}


def test_everything_can_be_done_again_also_after_a_reload(show, tmp_path):
    table = a_table()
    page = show(table)
    assert page.locator("#redo").is_disabled()
    rename(page, "cats", "lions")
    group(page, "ants").get_by_role("button", name="Join…").click()
    assert page.locator("#choices button").all_inner_texts() == ["bees", "lions"]
    page.locator("#target").fill("hornets")
    assert page.locator("#ok").is_disabled()  # there is no such group
    page.locator("#target").fill("bees")
    page.keyboard.press("Enter")
    assert "60 images" in group(page, "bees").inner_text()
    done = export(page, tmp_path, table)
    for keys in ("Control+z", "Control+z", "Control+Shift+z", "Control+y"):
        page.keyboard.press(keys)
    pd.testing.assert_frame_equal(export(page, tmp_path, table), done)
    page.locator("#undo").click()
    page.on("dialog", lambda dialog: dialog.accept())
    page.reload()
    page.wait_for_selector("[data-ready]", state="attached")
    assert "30 images" in group(page, "ants").inner_text()
    page.get_by_role("button", name="Redo").click()
    assert said(page) == "It is done again." and page.locator("#redo").is_disabled()
    pd.testing.assert_frame_equal(export(page, tmp_path, table), done)
    page.locator("#undo").click()
    rename(page, "ants", "termites")
    assert page.locator("#redo").is_disabled()  # a new change: what was undone is gone
    page.keyboard.press("Control+y")
    assert "30 images" in group(page, "termites").inner_text()


def test_what_an_earlier_round_decided_stays(show, tmp_path):
    table = a_table()
    table["corrected"] = pd.Series(["moved", "confirmed", "renamed"] * 2 + [""] * 86, dtype=object)
    page = show(table)
    assert "6 corrected by you" in page.locator("#counts").inner_text()
    assert alts(images(page, "ants"))[0] == "set/ants 0000.jpg, doubt 0.01, your word"
    assert export(page, tmp_path, table)["corrected"].tolist() == table["corrected"].tolist()
    group(page, "ants").get_by_role("textbox").fill("wasps")
    page.keyboard.press("Enter")
    open_tab(page, "Map")
    page.locator("#canvas").focus()
    page.evaluate("select([1])")
    page.keyboard.press("m")
    page.keyboard.type("cats")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "canvas"
    read = export(page, tmp_path, table)["corrected"].tolist()
    assert read[:7] == ["moved", "moved", "renamed", "moved", "confirmed", "renamed", "renamed"]


def test_a_browser_that_keeps_nothing_says_so_and_works(show, tmp_path):
    table = a_table()
    page = show(table, storage=False)
    group(page, "cats").get_by_role("textbox").fill("lions")
    page.keyboard.press("Enter")
    assert "Not kept in this browser" in said(page)
    assert (export(page, tmp_path, table)["group"] == "lions").sum() == 30


def test_odd_names_are_text_and_come_back_the_same(show, tmp_path):
    n = len(ODD_NAMES)
    names = [f"{'y' * 120} {name}" if len(name) < 9 else name for name in ODD_NAMES]
    table = a_table(n, problems=n)
    table["file"] = pd.Series([*ODD_NAMES, *(f"bad/{name}" for name in ODD_NAMES)], dtype=object)
    table["group"] = pd.Series([*names, *[""] * n], dtype=object)
    table["duplicate_of"] = pd.Series([*[""] * n, *ODD_NAMES], dtype=object)
    table["problem"] = pd.Series([*[""] * n, *ODD_NAMES], dtype=object)
    page = show(table, write={"title": ODD_NAMES[1], "note": ODD_NAMES[0]})
    for name in ("Unsure", "Problems"):
        open_tab(page, name)
    elements = page.evaluate("document.querySelectorAll('script:not([type])').length")
    assert elements == 1 and page.title() == ODD_NAMES[1]
    hover(page, 0)
    assert ODD_NAMES[0] in page.locator("#card").inner_text()
    open_tab(page, "Groups")
    page.locator("#groups [role=option]").nth(0).click()
    page.keyboard.press("m")
    page.keyboard.press("Escape")
    assert page.locator("#groups [onerror], #groups svg[onload], #groups img[src='x']").count() == 0
    assert page.locator("#problems .file").first.text_content() == f"bad/{ODD_NAMES[0]}"
    read = export(page, tmp_path, table)
    pd.testing.assert_frame_equal(read[list(table)], table)


def test_search_and_unsure_only_and_show_more(show):
    page = show(a_table(600))
    assert page.locator(".sure [role=option]").count() == 30
    more = group(page, "ants").get_by_role("button", name=re.compile("^Show 120 more of"))
    before = images(page, "ants").count()
    more.click()
    assert images(page, "ants").count() == before + 120
    assert page.evaluate("document.activeElement.matches('[role=option]')")
    page.locator("#search").fill("BEES 0001")
    group(page, "ants").wait_for(state="hidden")
    assert "1 of 200 images" in group(page, "bees").inner_text()
    page.locator("#search").fill("no such thing")
    page.get_by_text("No image matches “no such thing”.").wait_for()
    page.locator("#search").fill("")
    page.get_by_label("Unsure only").check()
    images(page, "cats").nth(0).wait_for(state="detached")
    assert "20 of 200 images" in group(page, "cats").inner_text()
    group(page, "cats").get_by_role("option").nth(0).click()
    page.keyboard.press("c")  # what was confirmed leaves, and the next is at hand
    assert "19 of 200 images" in group(page, "cats").inner_text()
    assert page.evaluate("document.activeElement.matches('[role=option]')")


def test_on_a_phone_with_a_finger(show, tmp_path):
    table = a_table(problems=4)
    table.loc[[0, 91], "file"] = ["w" * 250 + ".jpg", "v" * 250]
    table.loc[table["group"] == "cats", "group"] = "c" * 200
    page = show(table, viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    for _ in range(12):
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        page.mouse.wheel(0, 600)
        page.wait_for_timeout(50)
    clipped = page.evaluate(
        "[...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && "
        "e.getBoundingClientRect().right > 391).length"
    )
    assert clipped == 0
    for i in (0, 1):
        page.locator("#groups [role=option]").nth(i).tap()
    assert said(page) == "2 images selected."
    page.get_by_role("button", name="Move to…").tap()
    sizes = page.locator("dialog button, #tools button").evaluate_all(
        "all => all.filter((b) => b.checkVisibility()).map((b) => b.offsetHeight)"
    )
    assert min(sizes) >= 30
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.locator("#choices button", has_text="bees").tap()
    assert (export(page, tmp_path, table)["corrected"] == "moved").sum() == 2
    for name in ("Unsure", "Map", "Problems"):
        page.get_by_role("tab", name=re.compile(f"^{name}")).tap()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_role("tab", name=re.compile("^Map")).tap()
    page.evaluate("zoom(3)")
    spot = page.locator("#canvas").bounding_box()
    x, y = np.add(page.evaluate("onScreen(46)"), [spot["x"], spot["y"]])
    page.touchscreen.tap(x, y)
    assert "set/bees 0046.jpg" in page.locator("#card").inner_text()
    fingers = page.context.new_cdp_session(page)
    for type_, apart in (("touchStart", 20), ("touchMove", 30), ("touchMove", 40)):
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        fingers.send("Input.dispatchTouchEvent", {"type": type_, "touchPoints": points})
    fingers.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    assert page.evaluate("view.zoom") == pytest.approx(6, abs=0.5)
    now = np.add(page.evaluate("onScreen(46)"), [spot["x"], spot["y"]])
    assert now == pytest.approx([x, y], abs=6)  # what was between the fingers stays there
    page.touchscreen.tap(*now)
    page.touchscreen.tap(*now)  # the second time it goes there
    assert page.evaluate("document.activeElement.image") == 46


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable_in_light_and_dark(show, scheme):
    page = show(color_scheme=scheme)
    page.locator("summary").click()
    page.locator("#groups [role=option]").nth(0).click()
    images(page, "ants").nth(2).hover()
    checked = page.evaluate(CONTRAST)
    page.keyboard.press("m")
    checked += page.evaluate(CONTRAST)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark") and len(checked) > 50
    assert min(checked)[0] >= 4.5, min(checked)


def test_all_that_is_seen_lies_in_a_landmark_and_has_a_name(show):
    """What axe-core found wrong, and what it asks for on every tab."""
    page = show()
    outside = page.evaluate(
        "[...document.body.children].filter((e) => e.checkVisibility() && !e.matches("
        "'header, main, section[aria-label], section[aria-labelledby]')).length"
    )
    assert outside == 0
    for name in ("Groups", "Unsure", "Map", "Problems"):
        open_tab(page, name)
        nameless = page.locator("button, input, select, progress, canvas, [role]").evaluate_all(
            "all => all.filter((e) => e.checkVisibility() && e.role !== 'status' && !(e.ariaLabel"
            " || e.textContent.trim() || e.labels?.length || e.getAttribute('aria-labelledby')"
            " || e.querySelector('img')?.alt)).map((e) => e.outerHTML.slice(0, 90))"
        )
        assert nameless == []
        owned = page.locator("[role=option]").evaluate_all(
            "all => all.every((e) => e.parentNode.role === 'listbox')"
        )
        assert owned


@pytest.mark.parametrize(("scheme", "back"), [("dark", "#14171a"), ("light", "#f1f3f5")])
def test_colours_of_groups_stand_out_and_no_two_look_alike(show, scheme, back):
    page = show(color_scheme=scheme)
    looks = page.evaluate("[...Array(112).keys()].map((g) => [colour(g), shape(g)])")
    assert len({tuple(look) for look in looks}) == 112

    def luminance(colour):
        parts = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722] + 0.05

    ratio = [luminance(c) / luminance(back) for c, _ in looks]
    assert min(max(r, 1 / r) for r in ratio) >= 3


def test_no_motion_where_it_is_not_wanted(show):
    how = "getComputedStyle(document.documentElement).scrollBehavior"
    assert show(reduced_motion="reduce").evaluate(how) == "auto"
    assert show(reduced_motion="no-preference").evaluate(how) == "smooth"


def test_problems_alone_and_no_script(show):
    page = show(a_table(0, problems=130))
    assert page.locator("#tab-map").is_hidden() and said(page) == "There are no images to show."
    open_tab(page, "Problems")
    assert page.locator("#problems li").count() == 24
    page.get_by_role("button", name="Show 100 more").click()
    page.get_by_role("button", name="Show 6 more").click()
    assert page.locator("#problems li").count() == 130
    page = show(ready=False, java_script_enabled=False)
    assert "needs JavaScript" in page.locator("body").inner_text()


def seconds_to_load(page):
    """Until the first thumbnail of the first row is decoded and drawn."""
    start = time.perf_counter()
    page.reload(wait_until="commit")
    first = page.locator("#groups img").first
    assert first.evaluate("i => i.decode().then(() => i.naturalWidth)") > 0
    first.evaluate("() => new Promise(requestAnimationFrame)")
    return time.perf_counter() - start


@pytest.mark.slow
def test_five_thousand_images_load_within_two_seconds(show):
    noise = np.random.default_rng(0).integers(0, 256, (50, 16, 16, 3), "uint8")
    heavy = [sorting.thumbnail(pixels) for pixels in noise]  # heavier than photos are
    table = a_table(5000, [f"group {i}" for i in range(10)])
    page = show(table)
    sorting.write_gallery(
        page.url.removeprefix("file://"),
        table,
        [heavy[i % 50] for i in range(5000)],
        places(table),
        progress=False,
    )
    assert np.median([seconds_to_load(page) for _ in range(5)]) < 2
    page.mouse.move(*hover(page, 4321))
    assert page.locator("#card img").evaluate("i => i.naturalWidth") == 64


def test_a_page_of_very_many_loads_what_is_asked_for(show, tmp_path):
    table = a_table(450, ["ants", "bees"])
    page = show(table, write={"many": 400})
    page.wait_for_selector("[data-whole]", state="attached")
    shades = np.random.default_rng(0).integers(60, 256, (90, 1, 1, 3), "uint8")
    wanted = pd.Series(range(450))[(table["group"][:450] == "bees").to_numpy()]
    wanted = wanted[~table["unsure"][wanted]].sort_values(key=lambda i: table["doubt"][i])
    shown = group(page, "bees").locator(".sure [role=img]")
    assert shown.count() == 10
    for place, image in enumerate(wanted[:10]):
        assert shown.nth(place).get_attribute("aria-label").startswith(table["file"][image])
        taken = Image.open(io.BytesIO(shown.nth(place).screenshot())).convert("RGB")
        middle = np.asarray(taken)[20:-20, 20:-20].mean((0, 1))
        assert np.abs(middle - shades[image % 90, 0, 0]).max() < 12, (place, image)
    page.get_by_role("searchbox").fill("bees 0449")
    group(page, "bees").get_by_text("1 of 225 images").wait_for()
    page.get_by_role("searchbox").fill("")
    group(page, "ants").wait_for()
    open_tab(page, "Map")
    hover(page, 200)
    assert page.locator("#card").inner_text().split("\n")[0] in set(table["file"])
    page.evaluate("moveTo('wasps', [7, 8])")
    read = export(page, tmp_path, table)
    assert (read["group"] == "wasps").sum() == 2 and read["file"].tolist() == table["file"].tolist()
    assert np.allclose(read["doubt"], table["doubt"].round(4), equal_nan=True)


def test_a_page_of_very_many_says_what_is_missing_without_its_folder(chromium, tmp_path):
    path, table = tmp_path / "gallery.html", a_table(450)
    sorting.write_gallery(path, table, pictures(table), places(table), many=400, progress=False)
    shutil.rmtree(tmp_path / "gallery_files")
    page = chromium.new_page()
    page.goto(path.as_uri())
    page.get_by_role("status").filter(has_text="missing").wait_for()
    assert "the folder gallery_files has to lie beside this page" in said(page)
    page.get_by_role("button", name="Save answers").click()
    assert "still being read" in said(page)  # no file of empty names
    page.close()


@pytest.mark.slow
def test_very_many_images_stay_usable(show, tmp_path):
    table = a_table(40_000, [f"group {i}" for i in range(300)])
    page = show(table, write={"many": 50_000})  # thumbnails as they are: making small ones is slow
    assert page.evaluate("document.querySelectorAll('*').length") < 8000
    assert seconds_to_load(page) < 10
    open_tab(page, "Map")
    took = page.evaluate(
        "() => { const start = performance.now(); select(images.slice(0, 9000)); moveTo('all');"
        " paint(); return performance.now() - start; }"
    )
    assert took < 3000
    assert said(page) == "9,000 images moved to “all”."
    read = export(page, tmp_path, table)
    assert (read["corrected"] == "moved").sum() == 9000
