import base64
import html
import io
import re
import shutil

import matplotlib.pyplot as plt
import nbformat
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tfl_helpers import datasets
from tfl_helpers.lessons import plots


@pytest.fixture(scope="module")
def digits():
    found = load_digits()
    return (found.images / 16 * 255).astype("uint8")[..., None], found.target


@pytest.fixture
def shown(monkeypatch):
    """List of what was displayed: (data, metadata)."""
    outputs = []

    def display(data, *, metadata, raw):
        assert raw
        outputs.append((data, metadata))

    monkeypatch.setattr(plots, "display", display)
    return outputs


def picture(output):
    """The PNG inside an output, opened."""
    data = re.search(r'src="data:image/png;base64,([^"]+)"', output[0]["text/html"])[1]
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert image.format == "PNG"
    return image, len(data) * 3 // 4


def line():
    fig, ax = plt.subplots()
    ax.plot([0, 1])
    ax.set_title("A line")
    return fig


def test_figure_has_alt_text_and_a_light_ground_and_is_closed(shown):
    plots.figure(line(), 'Goes up & "up" <b>')
    (data, metadata), image = shown[0], picture(shown[0])[0]
    assert (
        f'alt="{html.escape("Goes up & " + chr(34) + "up" + chr(34) + " <b>")}"'
        in data["text/html"]
    )
    assert data["text/html"].startswith("<figure") and "background: white" in data["text/html"]
    assert data["text/plain"] == '[figure: Goes up & "up" <b>]'
    assert metadata == {"needs_background": "light"}
    assert image.convert("RGB").getpixel((0, 0)) == (255, 255, 255)
    assert not plt.get_fignums()


@pytest.mark.parametrize("alt", ["", "  ", "A line"])
def test_alt_must_say_more_than_the_title(shown, alt):
    with pytest.raises(ValueError, match="alt"):
        plots.figure(line(), alt)
    plt.close("all")
    assert not shown


def test_nothing_is_cut_off(shown):
    """The picture grows with a title that is wider than the figure."""
    small = np.zeros((1, 8, 8, 1), "uint8")
    for title in ("short", "a title that is far wider than the one small image below it " * 2):
        plots.image_grid(small, title=title, alt="One black square.")
    short, long = (picture(output)[0] for output in shown)
    assert long.width > 2 * short.width
    right = np.asarray(long.convert("L"))[:, -3:]
    assert right.min() == 255


def test_tiny_images_are_enlarged_with_crisp_pixels(shown):
    checks = np.indices((8, 8)).sum(0)[..., None] % 2 * 255
    plots.image_grid(checks.astype("uint8")[None], alt="A chess board.")
    values = np.asarray(picture(shown[0])[0].convert("L"))
    grey = (values > 20) & (values < 235)
    assert grey.mean() < 0.15  # edges only; smooth enlarging would make most of it grey
    assert values.shape[1] > 40


def test_images_keep_their_order_colours_and_place(shown):
    colours = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (200, 200, 0)]
    plots.image_grid(
        [np.full((9, 9, 3), c, "uint8") for c in colours], columns=2, alt="Four squares."
    )
    image = picture(shown[0])[0].convert("RGB")
    at = [(x * image.width // 4, y * image.height // 4) for y in (1, 3) for x in (1, 3)]
    assert [image.getpixel(place) for place in at] == colours


def test_sizes_may_differ_and_folders_are_read(shown, tmp_path, digits):
    for number, size in enumerate([(20, 60), (60, 20), (40, 40)]):
        Image.new("RGB", size, "navy").save(tmp_path / f"{number}.png")
    folder = datasets.FolderImages(tmp_path)
    plots.image_grid(folder, titles=["wide", "tall", "square"], alt="Three blue shapes.")
    plots.group_gallery(folder, [1, 1, 0], alt="Two rows of blue shapes.")
    plots.feature_map_2d(np.eye(3)[:, :2], folder, [1, 1, 0], title="Map", alt="Three dots.")
    assert len(shown) == 3
    blue = np.asarray(picture(shown[0])[0].convert("RGB")).reshape(-1, 3)
    assert (blue == (0, 0, 128)).all(1).mean() > 0.2


def test_gallery_reads_only_what_it_shows(shown):
    class Counting(list):
        read = 0

        def __getitem__(self, index):
            Counting.read += 1
            return super().__getitem__(index)

    images = Counting([np.zeros((8, 8, 1), "uint8")] * 100)
    plots.group_gallery(images, np.arange(100) % 4, per_group=3, alt="Four rows.")
    assert Counting.read == 12


def test_gallery_rows_are_groups(shown):
    images = np.zeros((6, 8, 8, 3), "uint8")
    images[[1, 3, 5]] = (255, 0, 0)
    plots.group_gallery(images, [0, 1, 0, 1, 0, 1], alt="A black row and a red row.")
    image = picture(shown[0])[0].convert("RGB")
    column = [image.getpixel((image.width * 3 // 4, y)) for y in range(image.height)]
    assert column.index((0, 0, 0)) < column.index((255, 0, 0))
    last_black = len(column) - 1 - column[::-1].index((0, 0, 0))
    assert last_black < column.index((255, 0, 0))


def test_pictures_stay_small(shown, digits):
    images, groups = digits
    plots.image_grid(images[:30], alt="Thirty digits.")
    plots.group_gallery(images, groups, per_group=12, alt="Ten rows of digits.")
    noise = np.random.default_rng(0).integers(0, 256, (120, 32, 32, 3)).astype("uint8")
    plots.image_grid(noise, columns=12, alt="A hundred and twenty squares of noise.")
    digits_size, gallery_size, noise_size = (picture(output)[1] for output in shown)
    assert digits_size < 30_000 and gallery_size < 80_000
    assert noise_size < 300_000  # the worst there is; photos stay below 150 kB


@pytest.mark.photos
def test_photos_stay_small(shown, photo_bundle):
    files = sorted((photo_bundle / "cifar10" / "test").rglob("*.jpg"))[::83]
    images = np.stack([np.asarray(Image.open(file)) for file in files])
    plots.group_gallery(images, np.arange(len(images)) % 10, per_group=12, alt="Rows of photos.")
    points = np.random.default_rng(0).normal(size=(1500, 2))
    many = images[np.arange(1500) % len(images)]
    plots.feature_map_2d(points, many, np.arange(1500) % 10, title="Photos", alt="A cloud.")
    assert picture(shown[0])[1] < 150_000
    assert len(shown[1][0]["text/html"]) < 2_000_000


def test_bad_images_say_what_to_do(shown):
    with pytest.raises(ValueError, match="astype"):
        plots.image_grid(np.zeros((2, 8, 8, 1)), alt="Two squares.")
    with pytest.raises(ValueError, match=r"3 titles for 2 images"):
        plots.image_grid(np.zeros((2, 8, 8, 1), "uint8"), titles="abc", alt="Two squares.")
    with pytest.raises(ValueError, match="no images"):
        plots.image_grid(np.zeros((0, 8, 8, 1), "uint8"), alt="Nothing.")
    with pytest.raises(ValueError, match=r"groups has shape \(3,\) for 2 images"):
        plots.group_gallery(np.zeros((2, 8, 8, 1), "uint8"), [0, 1, 2], alt="Two squares.")
    assert not plt.get_fignums()


def test_feature_maps_scale_each_map_by_itself(shown):
    maps = np.zeros((4, 4, 3))
    maps[0, 0] = [1000, 1, 0]  # a loud map, a quiet one, and one that is all zero
    plots.feature_maps({"conv": maps}, alt="Three maps.")
    pixels = np.asarray(picture(shown[0])[0].convert("RGB")).astype(int)
    yellow = (pixels[..., 0] > 220) & (pixels[..., 1] > 200) & (pixels[..., 2] < 90)
    columns = np.flatnonzero(yellow.any(0))
    assert (np.diff(columns) > 1).sum() == 1  # two bright corners, side by side


def test_bars_show_values_and_errors(shown, monkeypatch):
    kept = []
    monkeypatch.setattr(plots, "figure", lambda fig, alt: kept.append(fig))
    plots.bars({"a": 0.25, "b": 0.5}, errors={"b": 0.1, "a": 0.2}, title="T", alt="Two bars.")
    plots.bars(pd.Series({"blank": 2, "duplicate": 1300}), title="T", alt="Two bars.")
    first, second = (fig.axes[0] for fig in kept)
    assert [patch.get_width() for patch in first.patches] == [0.25, 0.5]
    assert [text.get_text() for text in first.texts] == ["0.250", "0.500"]
    assert [text.get_text() for text in second.texts] == ["2", "1,300"]
    segments = [s[:, 0].tolist() for s in first.collections[0].get_segments()]
    assert segments == [pytest.approx([0.05, 0.45]), pytest.approx([0.4, 0.6])]
    plt.close("all")


def page_of(output):
    """The page inside the iframe of a map."""
    return html.unescape(re.search(r"srcdoc='([^']*)'", output[0]["text/html"])[1])


def test_map_needs_nothing_from_outside_and_has_text(shown, digits):
    images, groups = digits
    points = np.random.default_rng(0).normal(size=(200, 2))
    plots.feature_map_2d(
        points, images[:200], groups[:200], title="Islands", alt="Dots & 'islands' of <digits>."
    )
    outer, page = shown[0][0]["text/html"], page_of(shown[0])
    assert "title='Dots &amp; &#x27;islands&#x27; of &lt;digits&gt;.'" in outer
    assert "<figcaption>Dots &amp; &#x27;islands&#x27; of &lt;digits&gt;. Point at" in outer
    assert not re.search(r"<(script|link)[^>]*(src|href)=", page)
    assert "bokeh-widgets" not in page and len(outer) < 1_600_000
    assert outer.count("<iframe") == 1 and outer.rstrip().endswith("</figure>")
    assert all(f'"group {g} ({(groups[:200] == g).sum()})"' in page for g in range(10))


def test_map_of_too_many_images_says_so(shown, digits):
    images, groups = digits
    plots.feature_map_2d(
        np.zeros((1797, 2)),
        images,
        groups,
        names=[f"n{i}" for i in range(1797)],
        title="M",
        alt="Dots.",
    )
    assert "1,500 of 1,797 images are shown" in shown[0][0]["text/html"]
    assert len(set(re.findall(r'"n\d+"', page_of(shown[0])))) == 1500


def test_no_two_of_seventy_groups_look_alike():
    looks = {(i % len(plots.PALETTE), i % len(plots.MARKERS)) for i in range(70)}
    assert len(looks) == 70
    assert len(plots.PALETTE) == 10 and all(re.fullmatch("#[0-9a-f]{6}", c) for c in plots.PALETTE)


def test_map_rejects_points_of_another_shape(shown, digits):
    images, groups = digits
    with pytest.raises(ValueError, match=r"\(4, 3\), not \(4, 2\)"):
        plots.feature_map_2d(np.zeros((4, 3)), images[:4], groups[:4], title="M", alt="Dots.")


def test_key_result_is_one_line(capsys):
    plots.key_result("digits: 0.94")
    assert capsys.readouterr().out == "Key result: digits: 0.94\n"
    for text in ("", "two\nlines"):
        with pytest.raises(ValueError, match="one line"):
            plots.key_result(text)


NOTEBOOK = """
import numpy as np
from sklearn.datasets import load_digits
from tfl_helpers.lessons import plots
found = load_digits()
images = (found.images / 16 * 255).astype("uint8")[..., None]
plots.image_grid(images[:10], title="Ten digits", alt="A row of the digits 0 to 9.")
plots.feature_map_2d(
    np.random.default_rng(0).normal(size=(1500, 2)), images[:1500], np.zeros(1500, int),
    names=[f"digit {i}" for i in range(1500)], title="A cloud", alt="A cloud of dots.",
)
"""


@pytest.mark.browser
@pytest.mark.slow
def test_exported_notebook_in_a_browser_without_a_network(tmp_path):
    """Alt texts are in the page, and hovering over a dot of the map shows its image."""
    from nbclient import NotebookClient
    from nbconvert import HTMLExporter
    from playwright.sync_api import sync_playwright

    browser = next(filter(None, map(shutil.which, ("chromium", "google-chrome", "chrome"))), None)
    if not browser:
        pytest.skip("needs Chromium")
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(NOTEBOOK)])
    NotebookClient(book, kernel_name="python3", timeout=60).execute()
    assert [o["output_type"] for o in book.cells[0]["outputs"]] == ["display_data"] * 2
    page_file = tmp_path / "book.html"
    page_file.write_text(HTMLExporter().from_notebook_node(book)[0], "utf8")
    with sync_playwright() as player:
        chromium = player.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        page = chromium.new_page(viewport={"width": 1000, "height": 1200}, offline=True)
        page.goto(page_file.as_uri())
        images = page.locator("figure img")
        assert images.evaluate_all("all => all.map(i => [i.alt, i.naturalWidth > 0])") == [
            ["A row of the digits 0 to 9.", True]
        ]
        frame = page.locator("iframe[title='A cloud of dots.']")
        frame.scroll_into_view_if_needed()
        inside = page.frame_locator("iframe")
        inside.locator("canvas").first.wait_for(timeout=20_000)
        box = frame.bounding_box()
        found = inside.locator("img[src^='data:image/webp']")
        for step in range(60):  # across the middle of the cloud, until the mouse is on a dot
            page.mouse.move(box["x"] + 250 + 3 * step, box["y"] + box["height"] / 2)
            page.wait_for_timeout(50)
            if found.count():
                break
        assert found.first.evaluate("i => [i.naturalWidth, i.naturalHeight]") == [8, 8]
        assert inside.get_by_text(re.compile(r"^digit \d+$")).first.is_visible()
        chromium.close()


def recorded_task(worker, start, stop):
    steps = [("transfer", start - 1, start), ("compute", start, stop)]
    parts = ({"action": name, "start": a, "stop": b} for name, a, b in steps)
    return {"worker": worker, "key": "x", "startstops": tuple(parts)}


def test_a_task_stream_has_a_row_for_each_worker_in_the_order_in_which_they_began(
    shown, monkeypatch
):
    drawn = []
    monkeypatch.setattr(plots, "figure", lambda fig, alt: drawn.append(fig))
    tasks = [recorded_task("b", 103, 104), recorded_task("a", 101, 102), recorded_task("b", 105, 6)]
    plots.task_stream(tasks, marks={"killed": 102.5}, alt="Three bars.", title="Two workers")
    axes = drawn[0].axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["worker 1", "worker 2"]
    places = [(bar.get_x(), bar.get_y() + bar.get_height() / 2) for bar in axes.patches]
    assert places == [(0, 0), (2, 1), (4, 1)]
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["killed"]
    plt.close(drawn[0])


def test_a_task_stream_without_a_task_says_so(shown):
    with pytest.raises(ValueError, match="no task was recorded"):
        plots.task_stream([], alt="Nothing at all.", title="Empty")
