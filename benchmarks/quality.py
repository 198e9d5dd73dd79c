"""What is wrong with images, planted and found: here, and by other tools.

    TFL_DATA_DIR=... KERAS_HOME=... python benchmarks/quality.py [TOOL ...] [--venvs DIR]

Into 1,000 photos (ten kinds of photos64, or pedestrians) are planted, 30 of each: blurred ones
(Gaussian, a 40th to a 20th of the side), darkened and brightened ones (5 to 20 % of the range are
left), nearly empty ones (little contrast; a disc on plain ground; a gradient), strips (1:4 to 1:6),
copies (saved anew, made smaller, cropped by 2 to 5 % on each side), the same bytes, and photos of
other kinds, or of another set. What was wrong with the photos before counts as no problem, so
precision is understated, for all tools alike. Copies are counted by pair.

Each tool has its own defaults, and runs as a process of its own: others in an environment of their
own, `DIR/NAME`, with `pip install NAME`. Of fastdup the marks are those of its summary. Recall,
precision and seconds with loading (beside other work), mean and sd of seeds 5 to 9; our thresholds
were chosen on seeds 0 to 2 (for near-duplicates on 0, for outliers on 0 and 1), which draw anew
from the same sets. `ours` is `cleaning.report`
with features of MobileNetV2 at 96 pixels, `ours, no network` is `cleaning.inspect`. Rows of tools
that are not asked for stay as they are in results/quality.json.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFilter

FILE = Path(__file__).resolve().parents[1] / "tfl_helpers" / "results" / "quality.json"
CHANGED = ("blurred", "dark", "bright", "low-information", "odd-shape")
ADDED = ("near-duplicate", "duplicate", "outlier")
EACH, PHOTOS, FIRST = 30, 1000, 5
MINE = ("ours", "ours, no network")


def sources(name: str) -> dict[str, list[Path]]:
    """Files of a set by class."""
    found: dict[str, list[Path]] = {}
    for path in sorted((Path(os.environ["TFL_DATA_DIR"]) / name).rglob("*.jpg")):
        found.setdefault(path.parent.name, []).append(path)
    return found


def drawn(name: str, rng: np.random.Generator) -> tuple[list[Path], list[Path]]:
    """1,000 photos, and 30 that belong to none of their kinds."""
    kinds = sources(name)
    if name == "photos64":
        order = rng.permutation(sorted(kinds))
        usual = [path for kind in order[:10] for path in kinds[kind]]
        others = [rng.choice(kinds[kind]) for kind in order[10:]]
        others += [rng.choice(kinds[kind]) for kind in order[10:20]]
    else:
        usual = [path for kind in kinds.values() for path in kind]
        others = [rng.choice(paths) for paths in sources("photos64").values()]
    return [usual[i] for i in rng.permutation(len(usual))[:PHOTOS]], others[:EACH]


def changed(image: Image.Image, what: str, number: int, rng: np.random.Generator) -> Image.Image:
    """Make an image one of a kind."""
    side, left = min(image.size), rng.uniform(0.05, 0.2)
    if what == "blurred":
        return image.filter(ImageFilter.GaussianBlur(side * rng.uniform(1 / 40, 1 / 20)))
    if what == "dark":
        return image.point(lambda value: value * left)
    if what == "bright":
        return image.point(lambda value: 255 - (255 - value) * left)
    if what == "odd-shape":
        width, height = image.size
        thin = rng.uniform(4, 6)
        box = (width, width / thin) if number % 2 else (height / thin, height)
        x, y = (rng.uniform(0, a - b) for a, b in zip(image.size, box, strict=True))
        return image.crop(tuple(int(v) for v in (x, y, x + box[0], y + box[1])))
    ground = rng.integers(0, 256, 3)
    if number % 3 == 0:
        values = np.asarray(image, float)
        mean = values.mean((0, 1))
        return Image.fromarray((mean + rng.uniform(0.03, 0.08) * (values - mean)).astype("uint8"))
    if number % 3 == 1:
        plain = Image.new("RGB", image.size, tuple(ground))
        x, y, r = *(rng.uniform(0.3, 0.7, 2) * side), 0.1 * side
        ImageDraw.Draw(plain).ellipse((x - r, y - r, x + r, y + r), tuple(255 - ground))
        return plain
    ramp = np.linspace(0, 1, image.height)[:, None, None] * rng.integers(20, 60)
    return Image.fromarray(
        (np.minimum(ground, 190) + ramp + np.zeros((1, image.width, 1))).astype("uint8")
    )


def plant(name: str, out: Path, seed: int) -> pd.DataFrame:
    """Write a folder, and say what is planted in each `file`: its `kind`, and `of` which file."""
    rng = np.random.default_rng(seed)
    photos, others = drawn(name, rng)
    written, truth = {}, []
    for number, path in enumerate(photos):
        kind = CHANGED[number // EACH] if number < EACH * len(CHANGED) else ""
        file = out / f"{rng.integers(1e9):09d}.jpg"
        written[path] = file.name
        truth.append((file.name, kind, ""))
        if not kind:
            shutil.copyfile(path, file)
        else:
            image = Image.open(path).convert("RGB")
            changed(image, kind, number, rng).save(file, quality=95)
    fine = [photos[i] for i in range(EACH * len(CHANGED), PHOTOS)]
    for number, path in enumerate(fine[: 2 * EACH] + others):
        kind = ADDED[number // EACH]
        file = out / f"{rng.integers(1e9):09d}.jpg"
        truth.append((file.name, kind, written[path] if kind != "outlier" else ""))
        if kind == "near-duplicate":
            image = Image.open(path).convert("RGB")
            width, height = image.size
            if number % 3 == 1:
                image = image.resize((round(width * 0.8), round(height * 0.8)))
            elif number % 3 == 2:
                cut = [rng.uniform(0.02, 0.05) * s for s in (width, height, width, height)]
                box = cut[0], cut[1], width - cut[2], height - cut[3]
                image = image.crop(tuple(round(v) for v in box))
            image.save(file, quality=int(rng.integers(40, 70)) if number % 3 == 0 else 90)
        elif kind == "duplicate":
            shutil.copyfile(path, file)
        else:
            Image.open(path).convert("RGB").save(file, quality=95)
    return pd.DataFrame(truth, columns=["file", "kind", "of"])


OTHERS = {
    "cleanvision": """
import json, sys
from cleanvision import Imagelab
lab = Imagelab(data_path=sys.argv[1])
lab.find_issues(verbose=False)
names = {"blurred": "blurry", "dark": "dark", "bright": "light", "odd-shape": "odd_aspect_ratio"}
names["low-information"] = "low_information"
found = {kind: lab.issues.index[lab.issues[f"is_{n}_issue"]].tolist() for kind, n in names.items()}
for kind, name in (("near-duplicate", "near_duplicates"), ("duplicate", "exact_duplicates")):
    sets = lab.info.get(name, {}).get("sets", [])
    found[kind] = [[a, b] for same in sets for i, a in enumerate(same) for b in same[:i]]
json.dump(found, open(sys.argv[2], "w"))
""",
    "imagededup": """
import json, sys
from imagededup.methods import PHash
if __name__ == "__main__":
    same = PHash(verbose=False).find_duplicates(image_dir=sys.argv[1])
    pairs = [[a, b] for a, others in same.items() for b in others if a < b]
    json.dump({"near-duplicate": pairs, "duplicate": pairs}, open(sys.argv[2], "w"))
""",
    "fastdup": """
import json, sys, tempfile, fastdup
fd = fastdup.create(work_dir=tempfile.mkdtemp(), input_dir=sys.argv[1])
fd.run(print_summary=False)
about, pairs, found = fd.img_stats(), fd.similarity(), {}
marks = {"blurred": about["blur"] < 150, "dark": about["mean"] < 4, "bright": about["mean"] > 253}
found = {kind: about["filename"][marked].tolist() for kind, marked in marks.items()}
found["outlier"] = fd.outliers()["filename_outlier"].unique().tolist()
same = pairs["distance"] > 0.9999
names = pairs[["filename_from", "filename_to"]]
found["duplicate"] = names[same].values.tolist()
found["near-duplicate"] = names[~same & (pairs["distance"] > 0.96)].values.tolist()
json.dump(found, open(sys.argv[2], "w"))
""",
}
OURS = """
import json, sys
import numpy as np
from pathlib import Path
from tfl_helpers.datasets import FolderImages, cleaning, list_files
root, names = Path(sys.argv[1]), list_files(sys.argv[1])
embed = None
if sys.argv[3] == "ours":
    from tfl_helpers import backbones, features
    network = backbones.load("MobileNetV2", size=96)
    def embed(some):
        images = FolderImages(root, [names[i] for i in some])
        return features.extract(network, images, cache=False, progress=False)
rows = [cleaning.inspect_file(root / name) for name in names]
report = cleaning.report(names, rows, embed=embed)
codes = report["problem"].str.split(", ")
found = {}
for code in {code for some in codes for code in some} - {""}:
    has = codes.map(lambda some: code in some)
    wanted = ["file", "duplicate_of"] if "duplicate" in code else "file"
    found[code] = report[wanted][has].values.tolist()
found["low-information"] = found.get("low-information", []) + found.get("blank", [])
json.dump(found, open(sys.argv[2], "w"))
"""


def scores(truth: pd.DataFrame, found: dict[str, list]) -> dict[str, list[float]]:
    """Recall and precision of each kind that a tool looks for; a pair in any order is one."""

    def plain(name: str | list[str]) -> frozenset[str]:
        return frozenset(Path(n).name for n in ([name] if isinstance(name, str) else name))

    result, planted = {}, {}
    for kind, rows in truth[truth["kind"] != ""].groupby("kind"):
        pairs = zip(rows["file"], rows["of"], strict=True)
        planted[kind] = {frozenset({file, of} - {""}) for file, of in pairs}
    for kind, names in found.items():
        if kind in planted:
            marked = set(map(plain, names))
            if kind == "near-duplicate":  # the same bytes are a kind of their own
                marked -= planted["duplicate"]
            elif kind == "duplicate":
                marked -= planted["near-duplicate"]
            right = len(marked & planted[kind])
            result[kind] = [right / len(planted[kind]), right / max(len(marked), 1)]
    return result


def measure(data: str, tools: list[str], venvs: Path, seeds: int) -> list[dict]:
    """Let each tool look at planted folders, in turn."""
    runs: dict[str, list] = {tool: [] for tool in tools}
    for seed in range(FIRST, FIRST + seeds):
        with tempfile.TemporaryDirectory() as place:
            folder, answer = Path(place) / "photos", Path(place) / "found.json"
            folder.mkdir()
            truth = plant(data, folder, seed)
            for tool in tools:
                python = sys.executable if tool in MINE else venvs / tool / "bin" / "python"
                script = Path(place) / "tool.py"
                script.write_text(OTHERS.get(tool, OURS))
                start = time.perf_counter()
                job = [python, script, folder, answer, tool]
                env = {k: v for k, v in os.environ.items() if tool in MINE or k != "PYTHONPATH"}
                subprocess.run(job, check=True, capture_output=True, cwd=place, env=env)
                seconds = time.perf_counter() - start
                runs[tool].append((scores(truth, json.loads(answer.read_text())), seconds))
                print(data, seed, tool, round(seconds), runs[tool][-1][0], flush=True)
    rows = []
    for tool, found in runs.items():
        seconds = [time for _, time in found]
        row = {
            "data": data,
            "tool": tool,
            "seeds": seeds,
            "seconds": summed(seconds, 1),
            "kinds": {},
        }
        for kind in (*CHANGED, *ADDED):
            if some := [kinds[kind] for kinds, _ in found if kind in kinds]:
                recall, precision = zip(*some, strict=True)
                row["kinds"][kind] = {"recall": summed(recall), "precision": summed(precision)}
        rows.append(row)
    return rows


def summed(values: list[float], digits: int = 3) -> list[float]:
    """Mean and standard deviation."""
    return [round(float(np.mean(values)), digits), round(float(np.std(values)), digits)]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("tools", nargs="*", default=[*MINE, *OTHERS])
    parser.add_argument("--venvs", type=Path, default=Path())
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    for data in ("photos64", "pedestrians"):
        new = measure(data, options.tools, options.venvs.resolve(), options.seeds)
        rows = json.loads(FILE.read_text()) if FILE.exists() else []
        old = [
            row
            for row in rows
            if (row["data"], row["tool"]) not in {(data, n["tool"]) for n in new}
        ]
        order = {tool: number for number, tool in enumerate([*MINE, *OTHERS])}
        rows = sorted(old + new, key=lambda row: (row["data"], order[row["tool"]]))
        FILE.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
