"""A few images get a name from a person, and those like them follow, in the page and in `sort`."""

import re
import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from test_gallery import (
    BROWSER,
    CONTRAST,
    a_table,
    chromium,
    export,
    group,
    open_tab,
    said,
    show,
    show_all,
)
from test_sorting import sort, table_of

from tfl_helpers import clustering, evaluation, sorting
from tfl_helpers.sorting import asking
from tfl_helpers.sorting.following import SEVERAL_KINDS, follow

BROWSES = pytest.mark.skipif(not BROWSER, reason="needs Chromium")
KINDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
__all__ = ["chromium", "show"]  # fixtures


@pytest.fixture(scope="module")
def rows(digit_features):
    return clustering.leading_components(digit_features[0][:600], random_state=0, sample=10_000)


@pytest.fixture(scope="module")
def kinds(digits):
    return np.array(KINDS, object)[evaluation.unseal(digits[0].answers)[:600]]


# --- what is asked, and what follows -------------------------------------------------------------


def test_what_is_asked_tells_most_and_each_fifth_is_drawn_at_random(rows, kinds):
    known = np.full(600, "", object)
    first = asking.choose_questions(rows, known, m=100)
    assert len(set(first.order)) == 100 and first.beside.shape == (100, 8)
    assert np.flatnonzero(first.drawn).tolist() == list(range(4, 100, 5))
    assert len(set(kinds[first.order[:14]])) == 10
    assert (kinds[first.beside] == kinds[first.order][:, None]).mean() > 0.9
    assert not (first.beside == first.order[:, None]).any()
    known[first.order[:50]] = kinds[first.order[:50]]
    then = asking.choose_questions(rows, known, m=100)
    assert set(known[then.order]) == {""} and len(set(then.order)) == 100
    known[9:] = kinds[9:]
    known[:9] = ""
    last = asking.choose_questions(rows, known)
    assert sorted(last.order) == list(range(9))
    assert asking.choose_questions(rows, kinds).beside.shape == (0, 8)
    groups = np.array([f"group {i % 30}" for i in range(600)], object)
    given = np.full(600, "", object)
    given[:10] = kinds[:10]  # ten groups need no question
    asked = asking.choose_questions(rows, given, groups, m=200)
    first = asked.order[~asked.drawn][:12]
    assert len(set(groups[first])) == 12 and not set(groups[first]) & set(groups[:10])


def led(rows, names, asked, free=None):
    """Groups after some images of one group were named."""
    given = np.zeros(len(rows), bool)
    given[asked] = True
    groups = np.where(given, names, "group 1")
    free = ~given if free is None else free
    found, p = follow(rows, groups, given, free)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    return np.array(found, object)[p.argmax(axis=1)]


def test_a_wrong_name_costs_no_more_than_its_share(rows, kinds):
    asked = asking.choose_questions(rows, [""] * 600).order[:20]
    right = (led(rows, kinds, asked) == kinds).mean()
    assert right >= 0.95
    lost = []
    for wrong in asked:
        names = kinds.copy()
        names[wrong] = KINDS[(KINDS.index(names[wrong]) + 1) % 10]
        lost.append(right - (led(rows, names, asked) == kinds).mean())
    assert np.mean(lost) <= 1 / 20 and max(lost) <= 3 / 20


def test_only_images_that_are_free_follow_and_some_names_reach_nobody(rows, kinds):
    asked = asking.choose_questions(rows, [""] * 600).order[:20]
    free = np.arange(600) % 2 == 0
    groups = led(rows, kinds, asked, free)
    still = ~free & ~np.isin(np.arange(600), asked)
    assert set(groups[still]) == {"group 1"} and (groups[free] == kinds[free]).mean() > 0.9
    names = np.where(np.arange(600) == asked[0], SEVERAL_KINDS, kinds)
    groups = led(rows, names, asked)
    assert (groups == SEVERAL_KINDS).sum() == 1 and groups[asked[0]] == SEVERAL_KINDS


def test_a_new_image_joins_a_group_and_more_than_names_can_walk_over_follow(
    rows, kinds, monkeypatch
):
    given = np.isin(np.arange(600), asking.choose_questions(rows, [""] * 600).order[:20])
    groups = np.where(given, kinds, "group 1")
    groups[500:] = np.where(given[500:], kinds[500:], None)
    names, p = follow(rows, groups, given, ~given & (np.arange(600) < 500))
    found = np.array(names, object)[p.argmax(axis=1)]
    assert "group 1" not in names and (found[500:] == kinds[500:]).mean() > 0.9
    monkeypatch.setattr("tfl_helpers.sorting.following.MOST_LINKED", 300)
    names, p = follow(rows, np.where(given, kinds, "group 1"), given, ~given)
    assert (np.array(names, object)[p.argmax(axis=1)] == kinds).mean() > 0.9


def test_large_pictures_keep_their_proportions_and_what_is_gone_has_none(tmp_path):
    Image.new("RGB", (1000, 300), "red").save(tmp_path / "wide.jpg")
    Image.new("L", (20, 40)).save(tmp_path / "small.png")
    sizes = [("wide.jpg", 1000, 300), ("gone.png", 9, 9), ("small.png", 20, 40)]
    wide, gone, small = asking.large_pictures(tmp_path, sizes)
    assert gone == b"" and Image.open(asking.io.BytesIO(wide)).size == (256, 77)
    assert Image.open(asking.io.BytesIO(small)).size == (20, 40)


# --- the page ------------------------------------------------------------------------------------


def asked_of(table):
    """Questions about a table of three kinds in turn, far apart."""
    n = (table["group"] != "").sum()
    codes = np.arange(n) % 3
    z = np.eye(3)[codes] + np.random.default_rng(0).normal(0, 0.1, (n, 3))
    found = asking.choose_questions(z, [""] * n, m=40)
    about = found.for_page(np.arange(n), np.arange(n), np.array([], int))
    return {"questions": about}


def one_group(n=90):
    return a_table(n).assign(group=lambda t: t["group"].where(t["group"] == "", "group 1"))


def now(page):
    """Kind of the image that is asked about, which its file's name tells."""
    return re.search(r"ants|bees|cats", page.locator("#asked img").get_attribute("alt"))[0]


def name_of(page, file):
    return page.evaluate("f => nameOf(D.files.indexOf(f))", file)


@BROWSES
@pytest.mark.browser
def test_names_by_keys_walk_at_once_and_undo_takes_them_back(show, tmp_path):
    table = one_group()
    page = show(table, write=asked_of(table))
    assert page.locator("#beside img").count() == 8 and page.locator("#names button").count() == 0
    first = now(page)
    page.keyboard.type(first)
    page.keyboard.press("Enter")
    assert said(page) == f"“{first}”: 29 other images moved."  # the kinds are far apart
    second = now(page)
    assert second != first
    page.keyboard.type(f" {second.upper()}"[1:])
    page.keyboard.press("Enter")
    third = now(page)
    page.locator("#given").fill(third)
    page.keyboard.press("Enter")
    for name, shown in ((first, first), (second, second.upper()), (third, third)):
        assert "30 images" in group(page, shown).inner_text(), name
    assert group(page, "group 1").count() == 0
    fourth = now(page)
    order = [first, second, third]
    assert page.locator("#names kbd").all_inner_texts() == ["1", "2", "3"]
    page.keyboard.press(str(order.index(fourth) + 1))
    assert said(page).endswith("no other image moved.")
    fifth = now(page)
    assert "Drawn at random" in page.locator("#why").inner_text()
    page.locator("#given").fill(f"  {fifth.upper()} ")  # the same name, however it is written
    page.keyboard.press("Enter")
    assert len(page.evaluate("state.names")) == 4
    assert "guessed right: 1 of 1 drawn at random" in page.locator("#right").inner_text()
    reached = page.locator("#reached")
    assert reached.inner_text() == "5 images named; 90 of 90 have a name"
    kept = page.locator("#kept")
    assert kept.inner_text() == "Saved in this browser: 5 names; not yet in the results."
    for _ in range(3):
        page.keyboard.press("Control+z")
    assert now(page) == third and group(page, third).count() == 0
    assert page.locator("#right").inner_text() == ""
    read = export(page, tmp_path, table)
    assert (read["corrected"] == "named").sum() == 2 and set(read["group"]) == {
        *(first, second.upper(), "group 1", "")
    }
    page.reload()
    page.wait_for_selector("[data-ready]", state="attached")
    assert now(page) == third and reached.inner_text().startswith("2 images named; ")
    assert kept.inner_text().startswith("Saved in this browser and as a file: 2 names.")
    page.keyboard.press("c")
    page.keyboard.press("Control+a")
    page.keyboard.type(first[:2])
    page.keyboard.press("Tab")
    assert page.locator("#given").input_value() == first  # completed
    page.keyboard.press("Escape")
    assert page.locator("#given").input_value() == ""


@BROWSES
@pytest.mark.browser
def test_what_has_no_name_and_groups_that_nobody_named_stay(show, tmp_path):
    table = a_table()
    page = show(table, write=asked_of(table))
    skipped, first = page.evaluate("D.files[ids[question]]"), now(page)
    page.keyboard.press("Space")
    assert page.evaluate("D.files[ids[question]]") != skipped and said(page) == "Skipped."
    page.keyboard.press("+")
    assert page.evaluate("nameOf(ids[1])") == SEVERAL_KINDS
    assert "29 images" in group(page, page.evaluate("D.names[D.group[ids[1]]]")).inner_text()
    third = now(page)
    page.keyboard.type("x")
    page.keyboard.press("Enter")
    assert first != third and "30 images" in group(page, "x").inner_text()
    for name in {"ants", "bees", "cats"} - {third}:
        assert group(page, name).count() == 1  # nobody named one of these
    page.keyboard.press("0")
    assert page.evaluate("nameOf(ids[3])") == "not an image of anything"
    read = export(page, tmp_path, table).set_index("file")
    assert (read["corrected"] == "named").sum() == 3
    assert read["corrected"][skipped] == ""
    files = read.index[read["corrected"] == "named"]
    assert set(read["group"][files]) == {SEVERAL_KINDS, "x", "not an image of anything"}
    opened = set(table.set_index("file")["group"][files[read["group"][files] != SEVERAL_KINDS]])
    lying = table["file"][table["group"].isin(opened)]
    assert read.attrs["opened"] == set(lying)


@BROWSES
@pytest.mark.browser
def test_the_next_question_is_about_what_names_reach_least(show):
    page = show(one_group(), write=asked_of(one_group()))
    first = now(page)
    page.keyboard.type(first)
    page.keyboard.press("Enter")
    second = now(page)
    assert first != second
    page.evaluate("k => moveTo(k, [images.find((i) => D.files[i].includes(k))])", second)
    third = now(page)  # that kind has a name by now, though no question was answered
    assert len({first, second, third}) == 3
    page.locator("#undo").click()
    assert now(page) == second
    page.locator("#ask").focus()
    asked = [page.evaluate("question")]
    while page.evaluate("question") >= 0:
        page.keyboard.press("Space")
        asked.append(page.evaluate("question"))
    assert sorted(asked) == [-1, *range(1, 40)]  # each once, and each fifth drawn at random
    drawn = page.evaluate("asked => asked.map((q) => drawn.has(q))", [0, *asked[:-1]])
    assert np.flatnonzero(drawn).tolist() == list(range(4, 40, 5))


@BROWSES
@pytest.mark.browser
def test_moving_and_joining_and_the_end_of_the_questions(show, tmp_path):
    table = one_group()
    page = show(table, write=asked_of(table))
    for _ in range(40):
        page.keyboard.type(now(page))
        page.keyboard.press("Enter")
    assert page.locator("#asks-for").inner_text() == "No more questions"
    assert page.locator("#given").is_hidden() and page.locator("#back").is_enabled()
    assert page.locator("#ask").bounding_box()["height"] < 250  # no empty box
    page.get_by_role("button", name="Look at the unsure images").click()
    assert page.get_by_role("tab", selected=True).inner_text().startswith("Unsure")
    open_tab(page, "Groups")
    box = group(page, "ants").get_by_role("textbox")
    box.fill("Bees")
    box.press("Enter")
    assert said(page) == "“ants” joined “bees”: 30 images. Undo takes it back."
    assert "60 images" in group(page, "bees").inner_text()
    show_all(page)
    cat = group(page, "cats").locator("[role=option]:not(.decided)").nth(0)
    cat.click()
    page.keyboard.press("c")  # what only followed is said now
    read = export(page, tmp_path, table)
    assert read["corrected"].value_counts().to_dict() == {"": 51, "named": 40, "moved": 1}
    assert set(read["group"][read["corrected"] != ""]) == {"bees", "cats"}
    assert set(read["group"][read["corrected"] == ""]) == {"group 1", ""}


@BROWSES
@pytest.mark.browser
def test_a_group_is_split_where_its_images_hang_together_least(show, tmp_path):
    table = one_group()
    page = show(table, write=asked_of(table))
    group(page, "group 1").get_by_role("button", name="Split").click()

    def kinds_in(name):
        files = page.evaluate(
            "n => images.filter((i) => nameOf(i) === n).map((i) => D.files[i])", name
        )
        return sorted({file[4:8] for file in files}), len(files)

    first, second = kinds_in("group 1"), kinds_in("group 1 2")
    assert {first[1], second[1]} == {60, 30} and not set(first[0]) & set(second[0])
    assert said(page) == "“group 1” was split: 30 images are now “group 1 2”."
    page.locator("#undo").click()
    assert kinds_in("group 1")[1] == 90
    names = []
    for name in ("x", "x", "y"):  # two kinds get one name
        names.append(now(page))
        page.locator("#given").fill(name)
        page.keyboard.press("Enter")
    assert len(set(names)) == 3
    assert kinds_in("x") == (sorted(names[:2]), 60)
    group(page, "x").get_by_role("button", name="Split").click()
    assert kinds_in("x")[1] == kinds_in("x 2")[1] == 30  # and they stay: one of them has the name
    read = export(page, tmp_path, table)
    assert set(read["group"][read["corrected"] == "named"]) == {"x", "x 2", "y"}


@BROWSES
@pytest.mark.browser
@pytest.mark.parametrize("size", [(1440, 900), (390, 844)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_first_screen_shows_photos_and_can_be_read(show, size, scheme):
    table = one_group()
    names = ["Straßenbahnhaltestellenwartehäuschen mit Fahrgastinformationsanzeige", "长颈鹿"]
    names.append("<script>document.title='run'</script>")
    phone = {"has_touch": True, "is_mobile": True} if size[0] < 500 else {}
    page = show(
        table,
        write=asked_of(table),
        viewport={"width": size[0], "height": size[1]},
        color_scheme=scheme,
        **phone,
    )
    for name in names:
        page.locator("#given").fill(name)
        page.locator("#given").press("Enter")
    assert page.locator("#names bdi").all_inner_texts() == names
    page.locator("#names button").nth(1).click()
    seen = page.locator("#asked img, #beside img").evaluate_all(
        "all => all.map((i) => [i.naturalWidth, i.getBoundingClientRect()])"
        ".filter(([w, r]) => w > 0 && r.top >= 0 && r.bottom <= innerHeight && r.width > 30).length"
    )
    assert seen == 9 and page.evaluate("document.documentElement.scrollWidth") == size[0]
    assert page.locator("#asked img").bounding_box()["height"] >= 200
    heights = page.locator("#ask button").evaluate_all(
        "all => all.filter((b) => b.checkVisibility()).map((b) => b.offsetHeight)"
    )
    assert min(heights) >= 40
    checked = page.evaluate(CONTRAST)
    assert len(checked) > 30 and min(checked)[0] >= 4.5, min(checked)
    named = page.locator("#ask :is(button, input, progress, img)").evaluate_all(
        "all => all.map((e) => e.ariaLabel || e.alt || e.textContent || e.labels?.[0]?.textContent)"
    )
    assert all(named)


@BROWSES
@pytest.mark.browser
def test_a_page_of_too_many_says_when_images_follow(show, tmp_path):
    table = one_group()
    write = asked_of(table)
    write["questions"] |= {"all": False, "graph": None, "node": None}
    page = show(table, write=write)
    assert "only when sorting runs again" in page.locator("#why").inner_text()
    page.keyboard.type("ants")
    page.keyboard.press("Enter")
    assert "1 image" in group(page, "ants").inner_text()
    assert (export(page, tmp_path, table)["corrected"] == "named").sum() == 1


# --- page and sort together ----------------------------------------------------------------------


def answers(page, kinds, m):
    """Answer as somebody would who knows, by keys alone."""
    for _ in range(m):
        kind = kinds[int(page.evaluate("D.files[ids[question]]")[:4])]
        names = page.locator("#names bdi").all_inner_texts()
        if kind in names[:9]:
            page.keyboard.press(str(names.index(kind) + 1))
        else:
            page.keyboard.type(kind)
            page.keyboard.press("Enter")


def shown(page):
    return pd.Series(dict(page.evaluate("images.map((i) => [D.files[i], nameOf(i)])")))


def groups_of(out):
    return table_of(out)["group"].to_dict()


def saved(page, path):
    with page.expect_download() as started:
        page.get_by_role("button", name="Save answers").click()
    started.value.save_as(path)
    return path


@pytest.fixture
def six_hundred(digits, tmp_path):
    (tmp_path / "in").mkdir()
    for number, pixels in enumerate(digits[0].images[:600]):
        Image.fromarray(pixels[..., 0]).save(tmp_path / "in" / f"{number:04d}.png")
    shutil.copy(tmp_path / "in" / "0001.png", tmp_path / "in" / "0001 copy.png")
    return tmp_path / "in"


@BROWSES
@pytest.mark.browser
def test_twenty_answers_name_nearly_all_and_sort_agrees(chromium, six_hundred, kinds, tmp_path):
    out = tmp_path / "out"
    sort(six_hundred, out)
    page = chromium.new_page()
    page.goto((out / "gallery.html").as_uri())
    answers(page, kinds, 20)
    before = shown(page)
    right = before.drop("0001 copy.png").to_numpy() == kinds
    assert right.mean() >= 0.9 and min(right[kinds == kind].mean() for kind in KINDS) > 0.6
    assert re.search(r"guessed right: \d of 4 drawn", page.locator("#right").inner_text())
    table = sorting.read_table(saved(page, tmp_path / "c.csv"))
    page.close()
    assert table["corrected"].value_counts().to_dict() == {"": 581, "named": 20}
    assert table["group"][table["corrected"] == ""].str.startswith("group ").all()
    sort(six_hundred, out, corrections=tmp_path / "c.csv")
    assert groups_of(out) == before.to_dict()
    marks = table_of(out)["corrected"].drop("0001 copy.png")  # what is said of its bytes
    assert marks.value_counts().to_dict() == {"": 580, "named": 20}


@BROWSES
@pytest.mark.browser
@pytest.mark.slow
def test_answers_go_on_in_an_old_page_a_new_one_and_without_the_store(
    chromium, six_hundred, kinds, tmp_path
):
    out = tmp_path / "out"
    sort(six_hundred, out)
    page = chromium.new_page()
    page.goto((out / "gallery.html").as_uri())
    answers(page, kinds, 15)
    show_all(page)
    page.locator("#groups [role=option]:not(.decided)").nth(0).click()
    page.keyboard.press("c")
    largest = shown(page).value_counts().index[0]
    group(page, largest).get_by_role("button", name="Split").click()
    assert f"{largest} 2" in set(shown(page))
    sort(six_hundred, out, corrections=saved(page, tmp_path / "c.csv"))
    assert groups_of(out) == shown(page).to_dict()
    first = (out / "groups.csv").read_bytes()
    sort(six_hundred, out, corrections=shutil.copy(tmp_path / "c.csv", tmp_path / "d.csv"))
    assert (out / "groups.csv").read_bytes() == first  # the second time it is no news
    page.evaluate("scrollTo({ top: 0, behavior: 'instant' }), $('ask').focus()")
    answers(page, kinds, 5)  # in the page that is still open
    sort(six_hundred, out, corrections=saved(page, tmp_path / "e.csv"))
    assert groups_of(out) == shown(page).to_dict()
    assert (table_of(out)["corrected"].drop("0001 copy.png") == "named").sum() == 21
    (six_hundred / "0003.png").rename(six_hundred / "0003 renamed.png")
    (out / sorting.STORE).unlink()
    sort(six_hundred, out)
    same = {file.replace(" renamed", ""): name for file, name in groups_of(out).items()}
    assert same == shown(page).to_dict()
    page.goto((out / "gallery.html").as_uri())
    answers(page, kinds, 7)
    sort(six_hundred, out, corrections=saved(page, tmp_path / "f.csv"))
    assert groups_of(out) == shown(page).to_dict()
    assert (table_of(out)["corrected"].drop("0001 copy.png") == "named").sum() == 28
    page.close()


def test_what_only_followed_is_not_said_to_have_moved(tmp_path):
    """A page drawn before others followed is exported once more."""
    before = a_table(6, ["cat"], 0).assign(corrected=["named", "", "", "", "", ""])
    old = before.assign(group="group 1", corrected="")
    old.loc[0, ["group", "corrected"]] = ["cat", "named"]
    old.loc[2, ["group", "corrected"]] = ["dog", "named"]
    old.loc[4, "group"] = "by hand"
    places = ["cat", "cat", *["group 1"] * 4]  # the second is a copy of the first
    found = pd.DataFrame({"digest": list("aabcde"), "group": places})
    path = sorting.write_table(old, tmp_path / "c.csv")
    read = sorting.read_corrections(path, before, found=found.set_index(before["file"]))
    assert read["corrected"].tolist() == ["named", "", "named", "", "moved", ""]
    assert read.attrs["opened"] == set(before["file"])
