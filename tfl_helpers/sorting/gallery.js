"use strict";
// Names of files and groups reach the page as text and attributes only, never as markup.
const $ = (id) => document.getElementById(id);
const make = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
};
const D = JSON.parse($("data").textContent);
const B = D.beside;  // of very many images: what lies in a folder beside the page, and is loaded from there
function bytes(text) {
  const raw = atob(text), made = new Uint8Array(raw.length);
  for (let k = 0; k < raw.length; k++) made[k] = raw.charCodeAt(k);
  return made;
}
const pairsOf = (text) => new Uint16Array(bytes(text).buffer);
const NONE = 0xffff, MARK = 0x8000, SCALE = 10000;  // how such a page writes numbers, see gallery.py
const count = (n, one, many = one + "s") => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
const showMore = (left, step) => (left > step ? `Show ${step} more of ${left.toLocaleString("en")}`
  : `Show ${left} more`);
const FIRST = 10, MORE = 120;  // images of a group that are shown at first, and for each "Show more"
const BATCH = 48;  // unsure images that are looked at together

// ---- What is known of each file, by its number, and what the user changed
if (B) unpackNumbers();
const n = D.group.length, images = [];
for (let i = 0; i < n; i++) if (D.group[i] >= 0) images.push(i);
if (B) D.order = ordered();
let typicalFirst = D.order;
const doubtful = new Uint8Array(n), rank = new Int32Array(n);
images.forEach((i, r) => { rank[i] = r; });
const outside = [];
const hasProblem = new Uint8Array(n);
for (const i of Object.keys(D.problems)) hasProblem[i] = 1;
for (let i = 0; i < n; i++) if (D.group[i] < 0 || hasProblem[i]) outside.push(i);
const outsideCount = count(outside.length, "file with a problem", "files with a problem");
const lower = D.files.map((file) => file.toLowerCase());
// decided: 1 by hand, 2 by the answer to a question; opened: groups as they came, from which an
// image was named; passed: questions that were skipped; guessed: 1 right, 2 wrong, where it counts;
// looked: was unsure when a person said what it is
const none = () => new Uint8Array(n);
const start = { group: Int32Array.from(D.group), decided: none(), names: D.names, opened: D.names.map(() => 0),
  passed: none(), guessed: none(), looked: none() };
const state = Object.fromEntries(Object.entries(start).map(([what, all]) => [what, all.slice()]));
const decidedBefore = new Uint8Array(n);
for (const [i, how] of Object.entries(D.corrected))
  if (["moved", "named", "confirmed"].includes(how)) decidedBefore[i] = 1;
const isDecided = (i) => state.decided[i] || decidedBefore[i];
// Where each image is shown, and how doubtful that is: `follow` finds it for those that follow names
const shown = Int32Array.from(D.group), doubts = Float64Array.from(D.doubt, (d) => d ?? NaN);
const isUnsure = (i) => doubtful[i] && !isDecided(i);
const nameOf = (i) => state.names[shown[i]] ?? "";
const doubt = (i) => (Number.isNaN(doubts[i]) ? "" : `doubt ${doubts[i].toFixed(2)}`);
const about = (i) => [D.files[i], doubt(i), isUnsure(i) && "unsure", isDecided(i) && "your word",
  D.duplicates[i] && `duplicate of ${D.duplicates[i]}`, D.problems[i]].filter(Boolean).join(", ");

// What a page of very many images holds: 16 bits of each, with the doubt in ten-thousandths below the mark
// of the unsure. Names and places come a moment later, pictures when they are shown
function unpackNumbers() {
  const found = pairsOf(D.doubt), doubt = new Array(found.length);
  D.unsure = [];
  for (let i = 0; i < found.length; i++) {
    const d = found[i] & ~MARK;
    doubt[i] = d > SCALE ? null : d / SCALE;
    if (found[i] & MARK) D.unsure.push(i);
  }
  [D.group, D.doubt, D.files] = [withNone(D.group), doubt, new Array(found.length).fill("")];
}
function withNone(packed) {
  const found = Int32Array.from(pairsOf(packed));
  for (let i = 0; i < found.length; i++) if (found[i] === NONE) found[i] = -1;
  return found;
}
function ordered() {  // as gallery.write_gallery has it: by doubt, of the unsure the most doubtful first
  const keys = new Int32Array(n), from = new Uint32Array(2 * SCALE + 3), found = new Array(images.length);
  for (const i of images)
    keys[i] = D.doubt[i] === null ? 2 * SCALE + 1 : SCALE + Math.round(D.doubt[i] * SCALE);
  for (const i of D.unsure) if (keys[i] <= 2 * SCALE) keys[i] = 2 * SCALE - keys[i];
  for (const i of images) from[keys[i] + 1] += 1;
  for (let each = 1; each < from.length; each++) from[each] += from[each - 1];
  for (const i of images) found[from[keys[i]]++] = i;
  return found;
}
const printed = new Int32Array(B ? n : 0);  // where each picture is: group by group, in that order
if (B) {
  const byGroup = D.names.map(() => []);
  for (const i of D.order) byGroup[D.group[i]].push(i);
  byGroup.flat().forEach((i, at) => { printed[i] = at; });
}
const load = (name) => new Promise((done, failed) => {
  const made = make("script", { src: `${B.path}-${name}.js` });
  [made.onload, made.onerror] = [done, failed];
  document.head.append(made);
});
function namesAre(from, some) {  // the scripts that are loaded call these two
  some.forEach((file, k) => { D.files[from + k] = file; lower[from + k] = file.toLowerCase(); });
}
function placesAre(packed) {
  places = withNone(packed);
  setMap();
}
let waits = Boolean(B);  // for names of files
async function loadRest() {
  try {
    if (B.map) await load("map");
    for (let part = 0; part < B.names; part++) await load(`names-${part}`);
    waits = false;
    for (const section of sections) section.now = "";  // what was drawn had no names
    if (ids.length && !$("given").value) showQuestion(question);
    draw();
    document.documentElement.dataset.whole = "";
  } catch {
    say(`Pictures and names of files are missing: the folder ${decodeURIComponent(B.path.split("/")[0])} has to lie beside this page.`);
  }
}

const blocks = document.getElementsByClassName("pictures"), unpacked = [];
const A = D.ask, ids = A?.order ?? [], larges = new Map();  // pictures of those that are asked about
if (A) document.querySelector(".large").textContent.split("\n").forEach((data, q) => {
  if (data) larges.set(ids[q], `data:image/webp;base64,${data}`);
});
function picture(i) {  // "" where the page holds none
  if (D.group[i] < 0) return "";
  if (B) return { sheet: `${B.path}-${Math.floor(printed[i] / B.sheet)}.webp`, at: printed[i] % B.sheet };
  const block = Math.floor(rank[i] / D.block);
  unpacked[block] ??= blocks[block].textContent.split("\n");
  const data = unpacked[block][rank[i] % D.block];
  return data && `data:image/webp;base64,${data}`;
}

// ---- Changes: each is a list of [what, where, new value], and so is its undoing. All are kept in this
// browser; other windows that show this page hear of them, and show them too.
const past = [], future = [], memory = `tfl-gallery-${D.key}`;
let exported = true, keeps = true, last = null;  // what was kept when this window last looked
const apply = (edits) => edits.map(([what, at, to]) => {
  const from = state[what][at];
  state[what][at] = to;
  return [what, at, from];
}).reverse();
const changes = () => Object.entries(state).flatMap(([what, all]) => {
  const found = [], before = start[what];
  for (let at = 0; at < all.length; at++) if (all[at] !== before[at]) found.push([what, at, all[at]]);
  return found;
});
function change(edits, text) {
  if (!edits.length || changedElsewhere()) return false;
  past.push(apply(edits));
  future.length = 0;
  settle(text);
  return true;
}
function settle(text) {
  exported = false;
  remember();
  draw();
  say(text);
  tell();
}
function stepBack(from, to, text) {
  if (!from.length || changedElsewhere()) return;
  to.push(apply(from.pop()));
  settle(text);
}
const undo = () => stepBack(past, future, "The last change is undone.");
const redo = () => stepBack(future, past, "It is done again.");
function startOver() {
  change(changes().map(([what, at]) => [what, at, start[what][at]]),
    "All corrections are taken back. Undo brings them again.");
}
function remember() {  // a page opened as a file may be forbidden to keep anything
  const stamp = `${Date.now()} ${Math.random()}`;
  last = JSON.stringify({ edits: changes(), exported, stamp });
  try { localStorage.setItem(memory, last); } catch { keeps = false; }
  try { sessionStorage.setItem(memory, JSON.stringify({ stamp, past, future })); }
  catch { /* a reload loses what could be undone */ }
}
function recall() {
  try { last = localStorage.getItem(memory); } catch { keeps = false; }
  if (!last) return false;
  let kept = null;
  try {
    kept = JSON.parse(last);
    apply(kept.edits);
    exported = kept.exported;
    const steps = JSON.parse(sessionStorage.getItem(memory));
    if (steps?.stamp === kept.stamp) { past.push(...steps.past); future.push(...steps.future); }
  } catch { /* nothing to undo, or nothing that can be read */ }
  return kept?.edits?.length > 0;
}
function adopt(text) {  // what another window kept
  apply(changes().map(([what, at]) => [what, at, start[what][at]]));
  past.length = future.length = 0;
  selected.clear();
  recall();
  draw();
  say(text);
  tell();
}
function changedElsewhere() {
  let now = null;
  try { now = localStorage.getItem(memory); } catch { keeps = false; }
  if (!now || now === last) return false;
  adopt("Changed in another window meanwhile, as is shown now. Your last step was not taken: do it again.");
  return true;
}
function hear() {
  let now = null;
  try { now = localStorage.getItem(memory); } catch { return; }
  if (now && now !== last) adopt("Changed in another window: both show the same again.");
}
addEventListener("storage", (event) => { if (event.key === memory) hear(); });
for (const when of ["focus", "pageshow"]) addEventListener(when, hear);
document.addEventListener("visibilitychange", hear);
function say(text) {
  $("heard").textContent = text;
  $("said").textContent = text + (keeps ? "" : " (Not kept in this browser: save answers before you leave.)");
}
function drawKept() {  // what is said, and where it is by now
  const all = [0, 0, 0];
  for (const i of images) all[state.decided[i] || (state.group[i] !== D.group[i] ? 1 : 0)] += 1;
  const renamed = D.names.filter((name, g) => name !== state.names[g]).length;
  const parts = [all[2] && count(all[2], "name"), all[1] && count(all[1], "correction"),
    renamed && `${count(renamed, "group")} renamed`].filter(Boolean).join(", ");
  $("kept").textContent = !parts ? "" : linked ? `Handed to the notebook: ${parts}.`
    : !keeps ? `Not saved: ${parts}.` : exported
    ? `Saved in this browser and as a file: ${parts}. Sort with that file to have it in the results.`
    : `Saved in this browser: ${parts}; not yet in the results.`;
}

// ---- Names walk over the graph, as clustering.spread_names and sorting.follow have it in Python
const walks = new Map();
let links = null;
const graph = () => (links ??= A?.graph ? unpackedGraph(A.graph) : null);  // when it is first needed
function unpackedGraph(packed) {
  const sizes = pairsOf(packed.sizes), weight = bytes(packed.weights);
  const to = pairsOf(packed.to), step = new Float64Array(to.length);
  const size = sizes.length, from = new Uint32Array(size + 1), root = new Float64Array(size);
  for (let a = 0; a < size; a++) {
    from[a + 1] = from[a] + sizes[a];
    for (let e = from[a]; e < from[a + 1]; e++) root[a] += weight[e];
    root[a] = 1 / Math.sqrt(root[a]);
  }
  for (let a = 0; a < size; a++) for (let e = from[a]; e < from[a + 1]; e++)
    step[e] = root[a] * weight[e] * root[to[e]];
  return { size, from, to, step, weight };
}
let reaches = [];  // of each name: its number, and how much of it reaches each image
function walk(givers, steps = 60) {
  const { size, from, to, step } = graph(), start = new Float64Array(size);
  for (const a of givers) start[a] = 1 / Math.sqrt(givers.length);
  let reach = Float64Array.from(start), next = new Float64Array(size);
  for (let t = 0; t < steps; t++) {
    for (let a = 0; a < size; a++) {
      let sum = 0;
      for (let e = from[a]; e < from[a + 1]; e++) sum += step[e] * reach[to[e]];
      next[a] = 0.95 * sum + 0.05 * start[a];
    }
    [reach, next] = [next, reach];
  }
  return reach;
}
const free = new Uint8Array(n), node = new Int32Array(n);
for (const i of A?.free ?? []) free[i] = 1;
if (A?.graph) images.forEach((i, r) => { node[i] = A.node[r]; });
const follows = (i) => A?.graph && !isDecided(i) && (free[i] || state.opened[D.group[i]]);
function follow() {
  for (const i of images) shown[i] = state.group[i], doubts[i] = D.doubt[i] ?? NaN;
  [typicalFirst, reaches] = [D.order, []];
  doubtful.fill(0);
  for (const i of D.unsure) doubtful[i] = 1;
  if (!A?.graph || !state.decided.some(Boolean)) return;  // as Python found it
  const givers = new Map(), told = new Map(), moving = images.filter(follows);
  if (!moving.length) return;
  for (const i of images) if (isDecided(i) && state.names[state.group[i]] !== A.several) {
    if (!givers.has(state.group[i])) givers.set(state.group[i], new Set());
    givers.get(state.group[i]).add(node[i]);
    told.set(node[i], state.group[i]);
  }
  reaches = [...givers].map(([g, nodes]) => {
    const ids = [...nodes].sort((a, b) => a - b), key = ids.join();
    if (walks.get(g)?.key !== key) walks.set(g, { key, reach: walk(ids) });
    return [g, walks.get(g).reach];
  });
  const margins = [];
  for (const i of moving) {
    let sum = 0, best = 0, second = 0, to = -1;
    for (const [g, reach] of reaches) {
      const here = reach[node[i]];
      sum += here;
      if (here > best) [second, best, to] = [best, here, g];
      else if (here > second) second = here;
    }
    to = told.get(node[i]) ?? to;  // it is a copy of one that has a name
    if (to < 0) continue;  // no name reaches it
    [shown[i], doubtful[i]] = [to, 0];
    margins.push([(best - second) / sum, i]);
  }
  margins.sort((a, b) => a[0] - b[0]);
  margins.forEach(([, i], k) => {
    doubts[i] = 1 - k / margins.length;
    doubtful[i] = doubts[i] > 0.9 ? 1 : 0;
  });
  const place = (i) => (doubtful[i] ? -doubts[i] : doubts[i]);  // the unsure stand apart
  typicalFirst = [...images].sort((i, j) => place(i) - place(j));
}

// ---- The question: what this image shows
const drawn = new Set(A?.drawn);
const isName = (name) => name && !/^(group( \d+)+|new( \d+)?)$/.test(name) && name !== A?.several;
let question = -1;
function namesGiven() {  // of which an image was named first comes first
  const first = new Map();
  for (const i of ids) if (isDecided(i) && state.group[i] >= 0 && !first.has(state.group[i]))
    first.set(state.group[i], first.size);
  const all = state.names.map((_, g) => g).filter((g) => lists[g].size && isName(state.names[g])
    && state.names[g] !== A?.nothing);
  return all.sort((a, b) => (first.get(a) ?? n + a) - (first.get(b) ?? n + b));
}
// The next question: of the next few the one from which most is reached of what names reach least, or
// disagree on, as clustering.questions has it. Each fifth is the next that was drawn at random; and
// one of a group in which nobody named one keeps its place: no image of that follows.
const EVERY = 5, FEW = 20, MOST_TOLD = 60, around = new Map();
function nextQuestion() {
  const open = ids.flatMap((i, q) => (isDecided(i) || state.passed[i] ? [] : [q]));
  const chance = open.filter((q) => drawn.has(q)), chosen = open.filter((q) => !drawn.has(q));
  const next = (ids.length - open.length) % EVERY === EVERY - 1 ? chance[0] ?? chosen[0]
    : chosen[0] ?? chance[0];
  if (next === undefined) return -1;
  if (!reaches.length || drawn.has(next) || !follows(ids[next])) return next;
  const told = [...ids, ...images].filter(isDecided).slice(0, MOST_TOLD).map((i) => reachedFrom(node[i]));
  const reached = new Float64Array(graph().size);
  for (const reach of told) reach.forEach((here, a) => { if (here > reached[a]) reached[a] = here; });
  const middle = [...reached].sort((a, b) => a - b)[reached.length >> 1] || 1e-12;
  const doubting = reached.map((here, a) => 1 - agreed(a) * Math.min(here / middle, 1));
  for (const i of images) if (!isDecided(i) && !follows(i)) doubting[node[i]] = 1;
  const gain = (q) => reachedFrom(node[ids[q]]).reduce((sum, here, a) =>
    sum + Math.max(here - reached[a], 0) * doubting[a], 0);
  return chosen.slice(0, FEW).map((q) => [gain(q), q]).sort((a, b) => b[0] - a[0] || a[1] - b[1])[0][1];
}
function reachedFrom(a) {  // what a short walk from an image reaches
  if (!around.has(a)) {
    const reach = walk([a], 20), own = Math.sqrt(reach[a]);
    around.set(a, Float32Array.from(reach, (here) => here / own));
  }
  return around.get(a);
}
function agreed(a) {  // by how much the first name is ahead of the second
  let sum = 0, best = 0, second = 0;
  for (const [, reach] of reaches) {
    sum += reach[a];
    if (reach[a] > best) [second, best] = [best, reach[a]];
    else if (reach[a] > second) second = reach[a];
  }
  return sum && (best - second) / sum;
}
function ask() {
  if (!ids.length) return;
  const at = nextQuestion();
  if (at !== question || !$("asked").firstChild) showQuestion((question = at));
  showNames();
  const named = ids.filter((i) => state.decided[i] === 2).length;
  const name = state.names.map(isName), reached = images.filter((i) => isDecided(i) || name[shown[i]]).length;
  $("done").value = reached / images.length;
  $("reached").textContent = `${count(named, "image")} named; ${
    reached.toLocaleString("en")} of ${images.length.toLocaleString("en")} have a name`;
  const right = ids.filter((i) => state.guessed[i] === 1).length;
  const all = right + ids.filter((i) => state.guessed[i] === 2).length;
  $("right").textContent = all ? `guessed right: ${right} of ${all} drawn at random (${
    wilson(right, all).map((p) => Math.round(100 * p)).join(" to ")} % of all)` : "";
}
function wilson(right, all) {  // 95 % range
  const z2 = 1.959964 ** 2, middle = (right + z2 / 2) / (all + z2);
  const half = Math.sqrt(z2 * ((right * (all - right)) / all + z2 / 4)) / (all + z2);
  return [Math.max(middle - half, 0), Math.min(middle + half, 1)];
}
function showQuestion(at) {
  const i = ids[at];
  $("ask").classList.toggle("over", at < 0);
  for (const id of ["given", "names", "skip", "several", "no-image", "beside"]) $(id).hidden = at < 0;
  $("to-unsure").hidden = at >= 0;
  $("given").value = "";
  $("asks-for").textContent = at < 0 ? "No more questions" : "What is this?";
  $("why").textContent = at < 0
    ? "All that were prepared are answered or skipped. Look at the images that are still unsure;"
      + " or save your answers, sort with them, and the page asks anew."
    : [drawn.has(at) ? "Drawn at random: what was guessed of it tells how many of all are right." : "",
      A.all ? "" : "So many images follow your names only when sorting runs again with your saved answers."]
      .filter(Boolean).join(" ");
  $("asked").replaceChildren(...(at < 0 ? [] : [look(i, larges.get(i) ?? picture(i), D.files[i])]));
  $("beside").lastElementChild.replaceChildren(...(A.beside[at] ?? []).map((j) =>
    make("li", {}, look(j, picture(j), D.files[j]))));
}
const nameButtons = (act, part = "") => namesGiven().flatMap((g, k) => {
  if (!` ${plain(state.names[g])}`.includes(` ${part}`)) return [];
  const made = make("button", {}, ...(k < 9 ? [make("kbd", {}, String(k + 1)), " "] : []),
    make("bdi", {}, state.names[g]));
  made.addEventListener("click", () => act(state.names[g]));
  return [made];
});
const showNames = () => $("names").replaceChildren(...nameButtons(answer, plain($("given").value)));
function answer(typed) {
  const name = cleaned(typed), i = ids[question], before = nameOf(i);
  if (!name || question < 0) return;
  let g = groupCalled(name);
  const edits = g < 0 ? [["names", (g = state.names.length), name]] : [];
  edits.push(["group", i, g], ["decided", i, 2]);
  if (name !== A.several) {
    edits.push(["opened", D.group[i], 1]);
    if (drawn.has(question)) edits.push(["guessed", i, plain(before) === plain(name) ? 1 : 2]);
  }
  const was = Int32Array.from(shown);
  if (!change(edits, "")) return;
  const moved = images.filter((j) => shown[j] !== was[j] && j !== i).length;
  say(`“${state.names[g]}”: ${moved ? `${count(moved, "other image")} moved` : "no other image moved"}.`);
  $("ask").focus({ preventScroll: true });
}
function pass() {
  if (question >= 0) change([["passed", ids[question], 1]], "Skipped.");
  $("ask").focus({ preventScroll: true });
}
$("given").addEventListener("input", showNames);
$("skip").addEventListener("click", pass);
$("several").addEventListener("click", () => answer(A.several));
$("no-image").addEventListener("click", () => answer(A.nothing));
$("to-unsure").addEventListener("click", () => showTab("unsure", true));
addEventListener("keydown", (event) => {
  const { key } = event, at = document.activeElement, field = $("given");
  if (question < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
  if (at !== document.body && !at.closest("#ask, #tools button")) return;
  if ($("ask").getBoundingClientRect().bottom < 0) return;  // it is out of sight
  if (at === field) {
    const whole = namesGiven().map((g) => state.names[g]).find((name) => field.value
      && plain(name).startsWith(plain(field.value)) && plain(name) !== plain(field.value));
    if (key === "Enter") answer(field.value);
    else if (key === "Tab" && whole && !event.shiftKey) { field.value = whole; showNames(); }
    else if (key === "Escape") { field.value = ""; showNames(); $("ask").focus({ preventScroll: true }); }
    else return;
  } else if (/^[1-9]$/.test(key) && namesGiven()[key - 1] >= 0) answer(state.names[namesGiven()[key - 1]]);
  else if (key === "0") answer(A.nothing);
  else if (key === "+") answer(A.several);
  else if (key === " " && !at.matches("button, summary")) pass();
  else if (key.length === 1 && /[\p{L}]/u.test(key)) return field.focus();  // the letter goes there
  else return;
  event.preventDefault();
});

const plain = (name) => cleaned(name.normalize("NFKC")).toLowerCase();
const cleaned = (name) => name.replace(/[\s\p{Cc}\p{Cs}\u202a-\u202e\u2066-\u2069]+/gu, " ").trim();
function groupCalled(name) {  // one that holds images, rather than one that was emptied
  const all = state.names.flatMap((each, g) => (plain(each ?? "") === plain(name) ? [g] : []));
  return all.find((g) => lists[g]?.size) ?? all[0] ?? -1;
}
function rename(g, typed) {
  const name = cleaned(typed), old = state.names[g], other = groupCalled(name);
  if (!name) return say("A group needs a name: nothing was changed.");
  if (name === old) return;
  if (other < 0 || other === g || !lists[other].size)
    return change([["names", g, name]], `“${old}” is now “${name}”.`);
  const edits = images.filter((i) => state.group[i] === g).map((i) => ["group", i, other]);
  const joined = count(lists[g].size, "image");
  change(edits, `“${old}” joined “${state.names[other]}”: ${joined}. Undo takes it back.`);
}
const looking = (ids) => ids.filter(isUnsure).map((i) => ["looked", i, 1]);
function moveTo(name, ids = [...selected]) {
  let g = groupCalled(name);
  const edits = g < 0 ? [["names", (g = state.names.length), name]] : [];
  for (const i of ids) edits.push(["group", i, g], ["decided", i, 1]);
  edits.push(...looking(ids));
  const text = `${count(ids.length, "image")} moved to “${state.names[g] ?? name}”.`;
  afterwards(ids, () => change(edits, text));
}
function confirmThese(ids, more = "") {
  const edits = ids.flatMap((i) => [["group", i, shown[i]], ["decided", i, state.decided[i] || 1]]);
  edits.push(...looking(ids));
  afterwards(ids, () => change(edits, `${count(ids.length, "image")} confirmed.${more}`));
}
function afterwards(ids, act) {  // the focus stays where it was, on the image that comes next
  const here = document.activeElement, list = here.closest(".thumbs") ?? (here === plane ? null : lastList);
  const place = list ? options().indexOf(list.current) : -1, gone = new Set(ids);
  const before = options().slice(0, place).filter((o) => !gone.has(o.image)).length;
  for (const i of ids) selected.delete(i);
  act();
  if (place >= 0) (options()[before] ?? options().at(-1))?.focus({ preventScroll: true });
}

// ---- A group is split where its images hang together least
const sumOf = (all) => all.reduce((sum, v) => sum + v, 0);
function split(g) {
  const members = images.filter((i) => shown[i] === g), where = parting(members);
  const cut = bestCut(where), said = (part) => part.filter(isDecided).length;
  let [keep, part] = [members.filter((_, k) => where[k] < cut), members.filter((_, k) => where[k] >= cut)];
  if (!keep.length || !part.length) return say("All images of this group are the same: nothing was changed.");
  if ((said(part) - said(keep) || part.length - keep.length) > 0)  // the name stays where it was given
    [keep, part] = [part, keep];
  let number = 2;
  while (groupCalled(`${state.names[g]} ${number}`) >= 0) number += 1;
  const name = `${state.names[g]} ${number}`, to = state.names.length;
  // Those that follow names would go back: as many as have a name in the other part get this one
  const lacking = Math.max(said(part) ? 0 : 1, said(keep) - said(part));
  const typical = part.filter(follows).sort((i, j) => doubts[i] - doubts[j]).slice(0, lacking);
  if (!change([["names", to, name], ...part.map((i) => ["group", i, to]),
    ...typical.map((i) => ["decided", i, 2])], "")) return;
  const { size } = lists[to];
  say(`“${state.names[g]}” was split: ${count(size, "image")} ${size === 1 ? "is" : "are"} now “${name}”.`);
}
function parting(members) {  // a number for each: the axis along which they part most
  if (A?.graph) {
    const nodes = [...new Set(members.map((i) => node[i]))], along = slowest(nodes);
    const at = new Map(nodes.map((a, k) => [a, along[k]]));
    return members.map((i) => at.get(node[i]));
  }
  const centred = (all) => all.map((v) => v - sumOf(all) / all.length);
  const x = centred(members.map(px)), y = centred(members.map(py));  // their main axis on the map
  const product = (p, q) => sumOf(p.map((v, k) => v * q[k]));
  const turn = Math.atan2(2 * product(x, y), product(x, x) - product(y, y)) / 2;
  return members.map((_, k) => x[k] * Math.cos(turn) + y[k] * Math.sin(turn));
}
function slowest(nodes) {  // the second vector of a walk among these, where each may also go anywhere
  const m = nodes.length, at = new Map(nodes.map((a, k) => [a, k])), { from, to, weight } = graph();
  const within = nodes.map((a) => {
    const mine = [];
    for (let e = from[a]; e < from[a + 1]; e++) if (at.has(to[e])) mine.push([at.get(to[e]), weight[e]]);
    return mine;
  });
  const own = within.map((mine) => sumOf(mine.map(([, w]) => w)));
  const anywhere = (0.25 * sumOf(own)) / m || 1;  // so that no stray image is a part of its own
  const root = own.map((w) => Math.sqrt(w + anywhere)), all = sumOf(root.map((r) => r * r));
  let along = nodes.map((_, k) => Math.sin(k + 1));
  for (let t = 0; t < 400; t++) {  // power iteration; the first vector, which is the root, is taken out
    const scaled = along.map((v, k) => v / root[k]), mean = (anywhere / m) * sumOf(scaled);
    const next = within.map((mine, k) => (along[k]
      + (mine.reduce((sum, [b, w]) => sum + w * scaled[b], 0) + mean) / root[k]) / 2);
    const level = sumOf(next.map((v, k) => v * root[k])) / all;
    const centred = next.map((v, k) => v - level * root[k]);
    const size = Math.sqrt(sumOf(centred.map((v) => v * v))) || 1;
    along = centred.map((v) => v / size);
  }
  return along.map((v, k) => v / root[k]);
}
function bestCut(values) {  // two means of numbers on a line: the least of the upper part
  const sorted = [...values].sort((a, b) => a - b), total = sumOf(sorted);
  let best = -Infinity, cut = NaN, sum = 0;
  for (let k = 1; k < sorted.length; k++) {
    sum += sorted[k - 1];
    const apart = sum ** 2 / k + (total - sum) ** 2 / (sorted.length - k);
    if (sorted[k] > sorted[k - 1] && apart > best) [best, cut] = [apart, sorted[k]];
  }
  return cut;
}

// ---- Answers as a file: the table as it came, with groups and decisions as they are now
const saidOf = (i) => state.names[state.group[i]] ?? "";  // what only followed a name is no answer
function fate(i) {
  if (state.group[i] < 0) return D.corrected[i] ?? "";
  if (state.decided[i] === 2) return "named";
  if (state.decided[i]) return state.group[i] === D.group[i] ? "confirmed" : "moved";
  return D.corrected[i] ?? (saidOf(i) === D.names[D.group[i]] ? "" : "renamed");
}
function csv(name = saidOf) {
  const cell = (text) => (/[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const guard = (name) => (/^'*[=+\-@]/.test(name) ? `'${name}` : name);  // no formula
  const lines = D.files.map((file, i) => [file, guard(name(i)), String(D.doubt[i] ?? ""),
    isUnsure(i) ? "True" : "False", D.duplicates[i] ?? "", D.problems[i] ?? "", fate(i)]
    .map(cell).join(","));
  const head = "file,group,doubt,unsure,duplicate_of,problem,corrected";
  return [head, ...lines, ""].join("\n");
}
function save() {
  if (waits) return say("Names of files are still being read: save in a moment.");
  const address = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  make("a", { href: address, download: "groups_corrected.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  exported = true;
  remember();
  drawKept();
  say("Saved as groups_corrected.csv, where your browser puts downloads.");
}

// ---- In a notebook, widget.js in the window around this frame takes what is said on to Python
const MOST_TOLD_ON = 40_000;  // files of which the tables fit into one message of Jupyter, 10 MB
let linked = false;
const toNotebook = (what) => parent.postMessage({ tfl: D.key, ...what }, "*");
const tell = () => { if (linked) toNotebook({ answers: csv(), labels: csv(nameOf) }); };
addEventListener("message", ({ source, data }) => {
  if (parent === window || source !== parent || data?.tfl !== D.key || B || n > MOST_TOLD_ON) return;
  linked = true;
  drawKept();
  tell();
});

// ---- Tabs: the one that is open stands in the address, so that it is open after a reload
const TABS = ["groups", "unsure", "map", "problems"], tabs = TABS.map((name) => $(`tab-${name}`));
const main = document.querySelector("main");
let tab = "groups";
function showTab(name, focus = false) {
  if ([tab, name].includes("unsure")) selected.clear();  // what is marked there is wrong
  tab = TABS.includes(name) && !$(`tab-${name}`).hidden ? name : "groups";
  TABS.forEach((each, k) => {
    $(`panel-${each}`).hidden = each !== tab;
    tabs[k].setAttribute("aria-selected", each === tab);
    tabs[k].tabIndex = each === tab ? 0 : -1;
  });
  if (focus) {
    tabs[TABS.indexOf(tab)].focus({ preventScroll: true });
    main.scrollIntoView({ behavior: "instant" });
  }
  try { window.history.replaceState(null, "", `#tab=${tab}`); } catch { /* it is not kept, then */ }
  say("");
  queue = [];
  draw();
}
function labelTab(name, size) {
  $(`tab-${name}`).lastElementChild.textContent = size.toLocaleString("en");
}
tabs.forEach((each, k) => {
  each.addEventListener("click", () => showTab(TABS[k], true));
  each.addEventListener("keydown", (event) => {
    const open = tabs.filter((one) => !one.hidden), at = open.indexOf(each), last = open.length - 1;
    const next = { ArrowRight: open[at + 1] ?? open[0], ArrowLeft: open[at - 1] ?? open[last], Home: open[0],
      End: open[last] }[event.key];
    if (!next) return;
    event.preventDefault();
    showTab(TABS[tabs.indexOf(next)], true);
  });
});
addEventListener("hashchange", () => showTab(location.hash.slice(5)));

// ---- Groups as rows of thumbnails, made when they come near the screen
const PATHS = ["M1 0A1 1 0 1 1-1 0A1 1 0 1 1 1 0Z", "M-.85-.85H.85V.85H-.85Z", "M0-1L1 .8H-1Z",
  "M0-1.1L1.1 0 0 1.1-1.1 0Z", "M0 1L1-.8H-1Z",
  "M-.35-1H.35V-.35H1V.35H.35V1H-.35V.35H-1V-.35H-.35Z",
  "M-1-.6L-.6-1 0-.4 .6-1 1-.6 .4 0 1 .6 .6 1 0 .4-.6 1-1 .6-.4 0Z"];
// Okabe and Ito's colours, with grey for black, as they stand out on a dark map, and darker ones for
// a light map. Seven shapes and eight colours make 56 pairs before one comes again, in another shade.
const COLOURS = {
  dark: ["#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#0072b2", "#d55e00", "#bbbbbb",
    "#b9e0f7", "#f6d48a", "#85d6bd", "#ecc9dc", "#faf6b8", "#7fb9de", "#f0a878", "#eeeeee"],
  light: ["#448eb8", "#b37c00", "#009970", "#bc6f9a", "#908928", "#0072b2", "#d55e00", "#878787",
    "#2c5c77", "#734f00", "#006247", "#784763", "#5b5719", "#003f66", "#8f3f00", "#565656"],
};
const darkness = matchMedia("(prefers-color-scheme: dark)");
const shape = (g) => PATHS[g % 7];
const colour = (g) => COLOURS[darkness.matches ? "dark" : "light"][(g % 8) + (g % 112 < 56 ? 0 : 8)];
darkness.addEventListener("change", () => {
  for (const each of document.querySelectorAll(".swatch path")) each.setAttribute("fill", colour(each.group));
  drawMap();
});
function swatch(g) {
  const draw = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const made = draw("svg", { viewBox: "-2 -2 4 4", class: "swatch", "aria-hidden": "true" });
  made.append(draw("path", { d: shape(g), fill: colour(g) }));
  made.firstChild.group = g;
  return made;
}
let lists = [], found = -1, wanted = "", onlyUnsure = false, lit = -1, lastList = null;
const sections = [], selected = new Set();
const matches = (i) => (!onlyUnsure || isUnsure(i)) && (!wanted || lower[i].includes(wanted)
  || nameOf(i).toLowerCase().includes(wanted));
const options = () => [...$(`panel-${tab}`).querySelectorAll("[role=option]")];
function sort() {  // the user's own and the one looked for, then the most certain, come first
  lists = state.names.map(() => ({ sure: [], unsure: [], size: 0, doubtful: 0 }));
  const first = typicalFirst.filter((i) => i === found || isDecided(i)), come = new Set(first);
  for (const [some, left] of [[first, null], [typicalFirst, come]]) for (const i of some) {
    if (left?.size && left.has(i)) continue;
    const list = lists[shown[i]], unsure = isUnsure(i);
    list.size += 1;
    if (unsure) list.doubtful += 1;
    if (matches(i)) (unsure && i !== found ? list.unsure : list.sure).push(i);
  }
}
const near = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) if (isIntersecting) {
    near.unobserve(target);
    target.classList.add("near");
    fill(sections.indexOf(target));
  }
}, { rootMargin: "600px" });
function newSection(g) {
  const name = make("input", { class: "name", maxlength: 100, autocomplete: "off" });
  name.addEventListener("keydown", (event) => {
    if (event.key === "Escape") name.value = state.names[g];
    if (["Enter", "Escape"].includes(event.key)) name.blur();
    event.stopPropagation();
  });
  name.addEventListener("focus", () => { name.was = name.value; });
  name.addEventListener("blur", () => {
    if (name.value !== name.was) rename(g, name.value);
    name.value = state.names[g] ?? "";
  });
  const button = (text, act) => {
    const made = make("button", {}, text);
    made.addEventListener("click", act);
    return made;
  };
  const doubtful = button("", () => { whose = g; showTab("unsure", true); });
  const apart = button("Split", () => split(g));
  apart.hidden = !A?.graph && !mapped.length;
  const size = make("span", { class: "quiet" }), rows = make("div");
  const section = make("section", { class: "group" }, make("div", { class: "head" },
    make("h2", {}, swatch(g), name), size, doubtful,
    button("Select all", () => select([...lists[g].sure, ...lists[g].unsure])), apart,
    button("Join…", () => openJoin(g))), rows);
  Object.assign(section, { name, size, doubtful, apart, rows, limit: FIRST, group: g });
  $("groups").append(section);
  near.observe(section);
  return section;
}
function fill(g) {
  const section = sections[g], { sure, unsure } = lists[g], { limit } = section;
  const cut = { sure: sure.slice(0, limit), unsure: unsure.slice(0, Math.max(0, limit - sure.length)) };
  const left = sure.length + unsure.length - limit;
  const now = JSON.stringify([left, state.names[g], Object.values(cut).map((ids) =>
    ids.map((i) => [i, Boolean(isDecided(i)), doubts[i]]))]);
  if (section.now === now) return;  // nothing to do: pictures do not flicker
  section.now = now;
  const more = make("button", {}, showMore(left, MORE));
  more.addEventListener("click", () => {
    section.limit += MORE;
    fill(g);
    section.querySelectorAll("[role=option]")[limit]?.focus();
  });
  section.rows.replaceChildren(...Object.entries(cut).flatMap(([kind, ids]) => strip(g, kind, ids)),
    ...(left > 0 ? [more] : []));
}
function strip(g, kind, ids) {
  if (!ids.length) return [];
  const list = make("ul", { class: `thumbs ${kind}`, role: "listbox", "aria-multiselectable": "true",
    "aria-label": `${state.names[g]}${kind === "unsure" ? ", unsure" : ""}` }, ...ids.map(thumb));
  list.current = list.firstChild;
  list.current.tabIndex = 0;
  return kind === "unsure" ? [make("h3", {}, `Unsure: ${lists[g].unsure.length}`), list] : [list];
}
function look(i, source = larges.get(i) ?? picture(i), alt = about(i)) {
  if (!source) return make("span", { role: "img", "aria-label": alt }, D.files[i].split("/").at(-1).slice(-40));
  if (!source.sheet) return make("img", { src: source, alt, draggable: "false" });
  const made = make("span", { role: "img", "aria-label": alt, class: "on-sheet" }), rows = B.sheet / B.columns;
  const [x, y] = [source.at % B.columns, Math.floor(source.at / B.columns)];
  made.style.backgroundImage = `url("${source.sheet}")`;
  made.style.backgroundSize = `${100 * B.columns}% ${100 * rows}%`;
  made.style.backgroundPosition = `${(100 * x) / (B.columns - 1)}% ${(100 * y) / (rows - 1)}%`;
  return made;
}
function thumb(i) {
  const made = make("li", { role: "option", tabindex: -1, "aria-selected": selected.has(i),
    draggable: "true" }, look(i));
  if (isDecided(i) || isUnsure(i)) made.classList.add(isDecided(i) ? "decided" : "doubtful");
  made.image = i;
  return made;
}
function draw() {
  const held = document.activeElement.image;
  follow();
  sort();
  state.names.forEach((name, g) => {
    const list = lists[g], section = (sections[g] ??= newSection(g));
    section.hidden = !(list.sure.length + list.unsure.length);
    section.setAttribute("aria-label", name ?? "");
    section.name.setAttribute("aria-label", `Name of the group, now ${name}`);
    if (document.activeElement !== section.name) section.name.value = name ?? "";
    const seen = list.sure.length + list.unsure.length;
    section.size.textContent = seen === list.size ? count(seen, "image")
      : `${seen.toLocaleString("en")} of ${count(list.size, "image")}`;
    section.doubtful.textContent = `${list.doubtful.toLocaleString("en")} unsure`;
    section.doubtful.hidden = !list.doubtful;
    section.apart.disabled = list.size < 2;
    if (tab === "groups" && section.classList.contains("near")) fill(g);
  });
  const unsure = images.filter(isUnsure).length, mine = images.filter((i) => fate(i)).length;
  const groups = lists.filter((each) => each.size).length;
  $("counts").replaceChildren(...[count(images.length, "image"), count(groups, "group"),
    `${unsure.toLocaleString("en")} unsure`, outside.length && outsideCount,
    mine && `${mine.toLocaleString("en")} corrected by you`,
  ].filter(Boolean).map((text) => make("li", {}, text)));
  labelTab("groups", groups);
  labelTab("unsure", unsure);
  const empty = images.length > 0 && sections.every((section) => section.hidden);
  $("nothing").hidden = !empty;
  $("nothing").textContent = wanted ? `No image matches “${wanted}”.` : "No image is unsure.";
  $("undo").disabled = $("back").disabled = !past.length;
  $("redo").disabled = !future.length;
  $("reset").hidden = !changes().length;
  ask();
  drawKept();
  if (tab === "unsure") drawReview();
  if (tab === "problems") drawProblems();
  drawSelection();
  drawLegend();
  placeCard();
  if (held !== undefined && document.activeElement.image !== held)  // its thumbnail was made anew
    options().find((option) => option.image === held)?.focus({ preventScroll: true });
}
function drawSelection() {
  for (const each of options()) each.setAttribute("aria-selected", selected.has(each.image));
  $("move").disabled = $("confirm").disabled = !selected.size;
  for (const each of $("renames").children) each.disabled = !selected.size;  // nothing moves below a finger
  drawMap();
}
function select(ids, text = "") {
  selected.clear();
  for (const i of ids) selected.add(i);
  drawSelection();
  say(text || (selected.size > 1 ? `${count(selected.size, "image")} selected.`
    : selected.size ? `${about([...selected][0])}, in “${nameOf([...selected][0])}”.` : "Nothing is selected."));
}
const toggled = (i) => (selected.has(i) ? [...selected].filter((each) => each !== i) : [...selected, i]);

// ---- Unsure images of all groups, or of one. Their order stays while somebody goes through them
let whose = -1, queue = [], most = BATCH;
const waiting = () => images.filter((i) => isUnsure(i) && (whose < 0 || shown[i] === whose) && matches(i));
function drawReview() {
  const now = new Set(waiting()), before = new Set(queue);
  if (!queue.length) most = BATCH;
  queue = [...queue.filter((i) => now.has(i)),
    ...[...now].filter((i) => !before.has(i)).sort((i, j) => (doubts[j] || 0) - (doubts[i] || 0))];
  const option = (text, value) =>
    make("option", { value, ...(value === whose ? { selected: "" } : {}) }, text);
  $("which").replaceChildren(option(`all (${images.filter(isUnsure).length})`, -1),
    ...state.names.flatMap((name, g) => (lists[g].doubtful || g === whose
      ? [option(`${name} (${lists[g].doubtful})`, g)] : [])));
  const made = new Map([...$("review").children].map((each) => [each.image, each]));
  $("review").replaceChildren(...queue.slice(0, most).map((i) => {
    const old = made.get(i), name = nameOf(i);
    if (old?.name === name) return old;
    const each = thumb(i);
    each.append(make("bdi", { class: "below" }, name));
    return Object.assign(each, { name });
  }));
  const list = $("review"), left = queue.length - most;
  if (!list.contains(list.current)) list.current = list.firstChild;
  for (const each of list.children) each.tabIndex = each === list.current ? 0 : -1;
  $("more-unsure").hidden = left <= 0;
  $("more-unsure").textContent = showMore(left, BATCH);
  const looked = images.filter((i) => state.looked[i]).length;
  const all = looked + images.filter(isUnsure).length;
  $("looked").value = all ? looked / all : 1;
  $("looks").lastElementChild.textContent =
    `${looked.toLocaleString("en")} of ${all.toLocaleString("en")} looked at`;
  for (const id of ["rest", "review", "review-how"]) $(id).hidden = !queue.length;
  $("none-unsure").hidden = queue.length > 0;
  $("none-unsure").textContent = !images.length ? "There are no images." : wanted
    ? `No unsure image matches “${wanted}”.` : whose >= 0 ? "No image of this group is unsure."
      : "No image is unsure. Save your answers, and sort with them.";
  $("renames").hidden = !queue.length;
  $("renames").replaceChildren(...nameButtons((name) => moveTo(name)));
}
$("which").addEventListener("change", () => {
  [whose, queue] = [Number($("which").value), []];
  selected.clear();
  draw();
});
$("more-unsure").addEventListener("click", () => {
  const next = most;
  most += BATCH;
  draw();
  options()[next]?.focus();
});
$("rest").addEventListener("click", () => {
  const wrong = queue.slice(0, most).filter((i) => selected.has(i)).length;
  confirmThese(queue.slice(0, most).filter((i) => !selected.has(i)), wrong
    ? ` ${count(wrong, "image")} marked as wrong ${wrong === 1 ? "is" : "are"} left: give the right name.` : "");
});
$("review").addEventListener("keydown", (event) => {  // before the keys that all thumbnails have
  const option = event.target.closest("[role=option]"), digit = /^[1-9]$/.test(event.key);
  if (!option || event.ctrlKey || event.metaKey || event.altKey) return;
  const these = selected.has(option.image) ? [...selected] : [option.image], g = namesGiven()[event.key - 1];
  if (event.key === "Enter" || event.key === "c") confirmThese(these);
  else if (event.key === "m") openMove(these);
  else if (digit && g >= 0) moveTo(state.names[g], these);
  else if (event.key === "Escape") { hideCard(); select([]); } else return;
  event.preventDefault();
  event.stopPropagation();
});

// ---- Mouse, touch and keys on the thumbnails
let anchor = null;  // where a selection of several began
function range(to) {
  const all = options(), ends = [all.findIndex((o) => o.image === anchor), all.indexOf(to)];
  return ends[0] < 0 ? [to.image] : all.slice(Math.min(...ends), Math.max(...ends) + 1).map((o) => o.image);
}
const byFinger = (event) => event.pointerType === "touch" || matchMedia("(hover: none)").matches;
function go(option, event) {
  const clicked = event.type === "click", held = event.ctrlKey || event.metaKey;
  option.focus({ preventScroll: clicked });
  if (event.shiftKey) return select(range(option));
  anchor = option.image;
  if (clicked && (held || byFinger(event) || tab === "unsure")) select(toggled(option.image));
  else if (clicked || (!held && tab !== "unsure")) select([option.image]);
}
function below(option, down) {
  const here = option.getBoundingClientRect();
  const rows = options().map((o) => [o, o.getBoundingClientRect()])
    .filter(([, r]) => (down ? r.top >= here.bottom : r.bottom <= here.top));
  const edge = down ? Math.min(...rows.map(([, r]) => r.top)) : Math.max(...rows.map(([, r]) => r.top));
  const row = rows.filter(([, r]) => Math.abs(r.top - edge) < 5);
  return row.sort((a, b) => Math.abs(a[1].left - here.left) - Math.abs(b[1].left - here.left))[0]?.[0];
}
const optionAt = (event) => event.target.closest("[role=option]");
main.addEventListener("click", (event) => { if (optionAt(event)) go(optionAt(event), event); });
main.addEventListener("focusin", (event) => {
  const option = optionAt(event);
  if (!option) return;
  lastList = option.parentNode;
  lastList.current.tabIndex = -1;
  lastList.current = option;
  option.tabIndex = 0;
  if (option.matches(":focus-visible")) showCard(option.image, () => option.getBoundingClientRect());
});
main.addEventListener("pointerover", (event) => {
  const option = optionAt(event);
  if (option) showCard(option.image, () => option.getBoundingClientRect());
});
for (const type of ["focusout", "pointerout"])
  main.addEventListener(type, (event) => { if (optionAt(event)) hideCard(); });
main.addEventListener("keydown", (event) => {
  const option = optionAt(event);
  if (!option) return;
  const all = options(), at = all.indexOf(option), key = event.key, list = option.parentNode;
  const next = { ArrowRight: all[at + 1], ArrowLeft: all[at - 1], Home: list.firstChild,
    End: list.lastChild }[key] ?? (/^Arrow(Up|Down)$/.test(key) && below(option, key === "ArrowDown"));
  if (next) go(next, event);
  else if (key === " ") { anchor = option.image; select(toggled(option.image)); }
  else if (key === "a" && (event.ctrlKey || event.metaKey)) select([...list.children].map((o) => o.image));
  else if (!corrects(event) && !/^(Arrow|Home|End)/.test(key)) return;
  event.preventDefault();
});
function corrects(event) {  // keys that images here and on the map share
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  if (event.key === "m" && selected.size) openMove();
  else if (event.key === "c" && selected.size) confirmThese([...selected]);
  else if (event.key === "Escape") { hideCard(); select([]); }
  else return false;
  return true;
}
// Dragged to the row of another group, or to its name in the list that shows as long as one drags
main.addEventListener("dragstart", (event) => {
  const option = optionAt(event);
  if (!option) return;
  if (!selected.has(option.image)) select([(anchor = option.image)]);
  event.dataTransfer.setData("text/plain", count(selected.size, "image"));
  event.dataTransfer.effectAllowed = "move";
  hideCard();
  $("drops").replaceChildren(...state.names.flatMap((name, g) => (lists[g].size
    ? [Object.assign(make("div", {}, swatch(g), make("bdi", {}, name)), { group: g })] : [])));
  setTimeout(() => { $("drops").hidden = false; });
});
const dropAt = (event) => event.target.closest?.(".group, #drops > div");
for (const type of ["dragover", "dragleave", "drop"]) addEventListener(type, (event) => {
  const to = dropAt(event);
  if (!to || to.group === undefined || !selected.size) return;
  event.preventDefault();
  to.classList.toggle("target", type === "dragover");
  if (type === "drop") moveTo(state.names[to.group]);
});
for (const type of ["dragend", "drop"]) addEventListener(type, () => { $("drops").hidden = true; });

// ---- The card beside the mouse, or beside what has the focus
let beside = null;  // gives the box that the card belongs to
function showCard(i, where) {
  const source = larges.get(i) ?? picture(i), card = $("card");
  card.replaceChildren(...(source ? [look(i, source, "")] : []),
    make("b", {}, make("bdi", {}, D.files[i])), make("bdi", {}, nameOf(i)), make("br"),
    [doubt(i), isUnsure(i) && "unsure", isDecided(i) && "your word"].filter(Boolean).join(", "));
  if (D.duplicates[i]) card.append(make("br"), "duplicate of ", make("bdi", {}, D.duplicates[i]));
  card.hidden = false;
  beside = where;
  placeCard();
}
function placeCard() {
  const card = $("card"), box = beside?.();
  if (!box?.width || box.bottom < 0 || box.top > innerHeight) return hideCard();
  const { width, height } = card.getBoundingClientRect(), room = document.documentElement.clientWidth;
  const left = box.right + 10 + width < room ? box.right + 10 : box.left - 10 - width;
  const under = box.bottom + 10 + height < innerHeight ? box.bottom + 10 : box.top - height - 10;
  card.style.left = `${Math.max(4, Math.min(left, room - width - 4))}px`;
  card.style.top = `${Math.max(4, Math.min(left < 4 ? under : box.top, innerHeight - height - 4))}px`;
}
function hideCard() {
  $("card").hidden = true;
  beside = null;
}
addEventListener("scroll", placeCard, { passive: true });

// ---- The map: stamps on a canvas, and pictures where they do not overlap
const plane = $("canvas"), SIDE = 4095, CELL = 64, MOST_ZOOM = 60, MOST_STAMPS = 100000;
const THUMB = innerWidth < 700 ? 36 : 44;  // side of a picture on it
const atFirst = new Uint8Array(n);  // the unsure: pictures of the sure are drawn before theirs
for (const i of D.unsure) atFirst[i] = 1;
let mapped = [], radius = 2, places = Int32Array.from(D.places ?? []);
const px = (i) => places[2 * rank[i]], py = (i) => places[2 * rank[i] + 1];
const view = { x: SIDE / 2, y: SIDE / 2, zoom: 1 }, cells = new Map(), decoded = new Map();
const sampled = new Uint8Array(n);  // images shown with a picture
let pending = 0, pointed = -1, sampledFor = "";
function setMap() {
  const placed = places.length ? D.order.filter((i) => px(i) >= 0) : [];
  mapped = [...placed.filter((i) => !atFirst[i]), ...placed.filter((i) => atFirst[i])];
  radius = mapped.length < 500 ? 6 : mapped.length < 5000 ? 4 : mapped.length < 20000 ? 3 : 2;
  for (const i of mapped) {
    const cell = Math.floor(px(i) / CELL) * 100 + Math.floor(py(i) / CELL);
    if (!cells.has(cell)) cells.set(cell, []);
    cells.get(cell).push(i);
  }
  $("tab-map").hidden = !mapped.length;
  labelTab("map", mapped.length);
  for (const section of sections) section.apart.hidden = !A?.graph && !mapped.length;
}
setMap();
const scale = () => ((Math.min(plane.clientWidth, plane.clientHeight) - THUMB) / SIDE) * view.zoom;
const onScreen = (i) => [plane.clientWidth / 2 + (px(i) - view.x) * scale(),
  plane.clientHeight / 2 + (py(i) - view.y) * scale()];
const bright = (i) => (lit < 0 || shown[i] === lit) && matches(i);
function stamp(g, size) {  // size: radius in pixels of the canvas
  const made = make("canvas"), pen = made.getContext("2d");
  made.width = made.height = Math.ceil(2.4 * size);
  pen.translate(made.width / 2, made.width / 2);
  pen.scale(size, size);
  pen.fillStyle = colour(g);
  pen.fill(new Path2D(shape(g)));
  return made;
}
function drawMap() {
  if (mapped.length && tab === "map") pending ||= requestAnimationFrame(paint);
}
function sample() {  // the least doubtful first; the same wherever the map is shifted to
  const side = (THUMB + 4) / scale(), now = [side, wanted, onlyUnsure, lit, past.length].join();
  if (now === sampledFor) return;
  sampledFor = now;
  sampled.fill(0);
  const taken = new Map();
  for (const i of mapped) if (bright(i)) {
    const [x, y] = [Math.floor(px(i) / side), Math.floor(py(i) / side)];
    let room = true;
    for (let a = x - 1; a <= x + 1 && room; a++) for (let b = y - 1; b <= y + 1 && room; b++) {
      const other = taken.get(a * 8192 + b);
      room = other === undefined
        || Math.max(Math.abs(px(i) - px(other)), Math.abs(py(i) - py(other))) >= side;
    }
    if (!room || !picture(i)) continue;
    sampled[i] = 1;
    taken.set(x * 8192 + y, i);
  }
}
function bitmap(i) {  // null until it is decoded
  if (!decoded.has(i)) {
    if (decoded.size > 4000) decoded.clear();
    const image = new Image(), source = picture(i);
    decoded.set(i, null);
    image.onload = () => image.decode().catch(() => {}).then(() => {  // not in the thread that draws
      decoded.set(i, source.sheet ? cutOut(image, source.at) : image);
      drawMap();
    });
    image.src = source.sheet ?? source;
  }
  return decoded.get(i);
}
function cutOut(sheet, at) {
  const made = make("canvas"), side = sheet.naturalWidth / B.columns;
  [made.width, made.height] = [side, side];
  const [x, y] = [at % B.columns, Math.floor(at / B.columns)];
  made.getContext("2d").drawImage(sheet, x * side, y * side, side, side, 0, 0, side, side);
  return made;
}
function paint() {
  pending = 0;
  const ratio = devicePixelRatio, width = Math.round(plane.clientWidth * ratio);
  const height = Math.round(plane.clientHeight * ratio), pen = plane.getContext("2d"), s = scale() * ratio;
  if (plane.width !== width || plane.height !== height) [plane.width, plane.height] = [width, height];
  pen.clearRect(0, 0, width, height);
  sample();
  const half = (THUMB / 2) * ratio, edge = half + 8, back = getComputedStyle(plane.parentNode).backgroundColor;
  const onX = (i) => width / 2 + (px(i) - view.x) * s, onY = (i) => height / 2 + (py(i) - view.y) * s;
  const inside = (x, y) => x > -edge && y > -edge && x < width + edge && y < height + edge;
  const put = (ids, size) => {
    const stamps = [];
    const near = ids.filter((i) => inside(onX(i), onY(i)));
    const step = Math.ceil(near.length / MOST_STAMPS);  // more would only cover each other
    for (let k = 0; k < near.length; k += step) {
      const i = near[k], x = onX(i), y = onY(i);
      const mark = (stamps[shown[i]] ??= stamp(shown[i], size * ratio));
      pen.drawImage(mark, Math.round(x - mark.width / 2), Math.round(y - mark.width / 2));
    }
  };
  const chosen = mapped.filter((i) => selected.has(i)), dim = [], seen = [], framed = [];
  for (const i of mapped) (!bright(i) ? dim : sampled[i] ? framed : seen).push(i);
  pen.globalAlpha = 0.12;
  put(dim, radius);
  pen.globalAlpha = 1;
  put(seen, radius);
  const corners = [];
  for (const i of framed) {
    const x = onX(i), y = onY(i), out = half + 2 * ratio;
    if (!inside(x, y)) continue;
    const image = bitmap(i), corner = (corners[shown[i]] ??= stamp(shown[i], 6 * ratio));
    pen.fillStyle = colour(shown[i]);
    pen.fillRect(x - out, y - out, 2 * out, 2 * out);
    if (image) pen.drawImage(image, x - half, y - half, 2 * half, 2 * half);
    pen.fillStyle = back;
    pen.fillRect(x - half, y - half, corner.width, corner.width);
    pen.drawImage(corner, x - half, y - half);
  }
  put(chosen.filter((i) => !sampled[i]), radius + 2);
  pen.strokeStyle = getComputedStyle(plane).color;
  pen.lineWidth = 3 * ratio;
  for (const i of chosen.slice(0, 2000)) {
    const x = onX(i), y = onY(i), out = half + 3 * ratio;
    pen.beginPath();
    if (sampled[i]) pen.rect(x - out, y - out, 2 * out, 2 * out);
    else pen.arc(x, y, (radius + 5) * ratio, 0, 7);
    pen.stroke();
  }
}
function fromMiddle(event) {
  const box = plane.getBoundingClientRect();
  return [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
}
function nearest(event) {
  const s = scale(), half = THUMB / 2 / s, [dx, dy] = fromMiddle(event), reach = Math.max(14 / s, half);
  const [x, y] = [view.x + dx / s, view.y + dy / s];
  let best = -1, least = 14 / s;
  for (let cx = Math.floor((x - reach) / CELL); cx <= (x + reach) / CELL; cx++)
    for (let cy = Math.floor((y - reach) / CELL); cy <= (y + reach) / CELL; cy++)
      for (const i of cells.get(cx * 100 + cy) ?? []) {
        const on = sampled[i] && Math.max(Math.abs(px(i) - x), Math.abs(py(i) - y)) <= half;
        const far = on ? -1 : Math.hypot(px(i) - x, py(i) - y);  // a picture covers what is below
        if (far < least && matches(i)) [best, least] = [i, far];
      }
  return best;
}
function point(i) {
  pointed = i;
  $("ring").hidden = i < 0;
  if (i < 0) return hideCard();
  const [x, y] = onScreen(i);
  $("ring").style.left = `${x}px`;
  $("ring").style.top = `${y}px`;
  $("ring").classList.toggle("square", Boolean(sampled[i]));
  showCard(i, () => $("ring").getBoundingClientRect());
}
function zoom(times, x = 0, y = 0) {  // x, y: pixels from the middle that stay where they are
  const before = scale();
  view.zoom = Math.max(1, Math.min(MOST_ZOOM, view.zoom * times));
  view.x += x / before - x / scale();
  view.y += y / before - y / scale();
  if (view.zoom === 1) view.x = view.y = SIDE / 2;
  plane.classList.toggle("zoomed", view.zoom > 1);
  point((tapped = -1));
  drawMap();
}
function shift(dx, dy) {
  if (view.zoom === 1) return;
  view.x -= dx / scale();
  view.y -= dy / scale();
  point((tapped = -1));
  drawMap();
}
function reveal(i) {  // show it at the head of its group
  found = i;
  $("search").value = wanted = "";
  $("only").checked = onlyUnsure = false;
  showTab("groups");
  const section = sections[shown[i]];
  section.classList.add("near");
  fill(shown[i]);
  section.scrollIntoView();
  options().find((o) => o.image === i).focus();
  select([(anchor = i)]);
}
const pointers = new Map();  // fingers or a mouse that are down, and where
let far = 0, brush = null, tapped = -1;
plane.addEventListener("pointerdown", (event) => {
  if (event.isTrusted) plane.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, fromMiddle(event));
  if (pointers.size === 1) {
    far = 0;
    const brushing = event.shiftKey || $("brushes").ariaPressed === "true";
    brush = brushing ? [fromMiddle(event), fromMiddle(event)] : null;
  } else [far, brush] = [99, null];
});
plane.addEventListener("pointermove", (event) => {
  const old = pointers.get(event.pointerId), now = fromMiddle(event);
  if (!old) return point(nearest(event));
  const [dx, dy] = [now[0] - old[0], now[1] - old[1]];
  far += Math.hypot(dx, dy);
  if (brush) { brush[1] = now; drawBrush(); }
  else if (pointers.size === 2) {
    const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
    const apart = (at) => Math.hypot(at[0] - other[0], at[1] - other[1]);
    zoom(apart(now) / Math.max(apart(old), 1), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    shift(dx / 2, dy / 2);
  } else shift(dx, dy);
  pointers.set(event.pointerId, now);
});
function drawBrush() {
  const [[ax, ay], [bx, by]] = brush, { style } = $("brush");
  $("brush").hidden = far <= 5;
  style.left = `${plane.clientWidth / 2 + Math.min(ax, bx)}px`;
  style.top = `${plane.clientHeight / 2 + Math.min(ay, by)}px`;
  style.width = `${Math.abs(ax - bx)}px`;
  style.height = `${Math.abs(ay - by)}px`;
}
for (const type of ["pointerup", "pointercancel"]) plane.addEventListener(type, (event) => {
  pointers.delete(event.pointerId);
  if (!brush || far <= 5 || type === "pointercancel") return;
  const s = scale(), [[ax, ay], [bx, by]] = brush;
  const within = (at, a, b) => at >= Math.min(a, b) / s && at <= Math.max(a, b) / s;
  $("brush").hidden = true;
  select(mapped.filter((i) => bright(i) && within(px(i) - view.x, ax, bx) && within(py(i) - view.y, ay, by)));
});
plane.addEventListener("pointerleave", () => point(-1));
plane.addEventListener("click", (event) => {
  if (far > 5) return;
  const i = nearest(event), several = event.ctrlKey || event.metaKey || event.shiftKey || brush;
  const again = !byFinger(event) || tapped === i;  // a finger sees the card first, then the group
  point(tapped = i);
  if (i >= 0 && several) select(toggled(i));
  else if (i >= 0 && again) reveal(i);
});
plane.addEventListener("wheel", (event) => {
  if (event.deltaY > 0 && view.zoom === 1 && !event.ctrlKey) return;  // the page scrolls
  event.preventDefault();
  zoom(Math.exp(-Math.max(-100, Math.min(100, event.deltaY)) * (event.ctrlKey ? 0.01 : 0.003)),
    ...fromMiddle(event));
}, { passive: false });
for (const type of ["touchstart", "touchmove"]) plane.addEventListener(type, (event) => {
  if (event.touches.length > 1) event.preventDefault();  // two fingers zoom the map, not the page
}, { passive: false });
plane.addEventListener("keydown", (event) => {
  const way = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] }[event.key];
  if (way) {
    const from = pointed >= 0 ? [px(pointed), py(pointed)] : [view.x, view.y];
    let best = -1, least = Infinity;
    for (const i of mapped) {
      const [x, y] = [px(i) - from[0], py(i) - from[1]], along = x * way[0] + y * way[1];
      const cost = along + 3 * Math.abs(x * way[1] - y * way[0]);
      if (along > 0 && cost < least && i !== pointed && matches(i)) [best, least] = [i, cost];
    }
    if (best < 0) return event.preventDefault();
    if (view.zoom > 1) { [view.x, view.y] = [px(best), py(best)]; drawMap(); }
    point(best);
    say(`${about(best)}, in “${nameOf(best)}”.`);
  } else if (event.key === " " && pointed >= 0) select(toggled(pointed));
  else if (event.key === "Enter" && pointed >= 0) reveal(pointed);
  else if (["+", "=", "-", "0"].includes(event.key)) zoom({ "-": 0.8, 0: 0 }[event.key] ?? 1.25);
  else if (!corrects(event)) return;
  event.preventDefault();
});
plane.addEventListener("blur", () => point(-1));
$("closer").addEventListener("click", () => zoom(1.6));
$("farther").addEventListener("click", () => zoom(1 / 1.6));
$("brushes").addEventListener("click", () => {
  const on = $("brushes").ariaPressed !== "true";
  $("brushes").ariaPressed = on;
  plane.classList.toggle("brushing", on);
});
function drawLegend() {
  if (!mapped.length || tab !== "map") return;
  $("legend").replaceChildren(...state.names.flatMap((name, g) => {
    if (!lists[g].size) return [];
    const made = make("button", {}, swatch(g), make("bdi", {}, name),
      make("span", { class: "quiet" }, lists[g].size.toLocaleString("en")));
    const light = (to) => () => { lit = to; drawMap(); };
    for (const [type, to] of Object.entries({ pointerenter: g, focus: g, pointerleave: -1, blur: -1 }))
      made.addEventListener(type, light(to));
    made.addEventListener("click", () => {
      lit = -1;
      showTab("groups");
      sections[g].scrollIntoView();
      sections[g].name.focus({ preventScroll: true });
    });
    return [make("li", {}, made)];
  }));
}

// ---- The dialog that asks where to
let dialog = null;  // what it does with the name, and which names it offers
function openDialog(title, verb, fresh, act, offered) {
  dialog = { verb, fresh, act, offered };
  $("dialog-title").textContent = title;
  $("target").value = "";
  for (const what of ["placeholder", "aria-label"])
    $("target").setAttribute(what, fresh ? "A group, or a new name" : "A group");
  showChoices();
  hideCard();
  $("dialog").showModal();
  $("target").focus();
}
const openMove = (ids = [...selected]) => openDialog(`Move ${count(ids.length, "image")} to`, "Move", true,
  (name) => moveTo(name, ids), () => true);
const openJoin = (g) => openDialog(`Join “${state.names[g]}” with`, "Join", false,
  (name) => rename(g, name), (other) => other !== g);
function showChoices() {
  const typed = cleaned($("target").value), part = typed.toLowerCase(), g = groupCalled(typed);
  const all = state.names.flatMap((name, g) =>
    (lists[g].size && name.toLowerCase().includes(part) && dialog.offered(g) ? [g] : []));
  $("choices").replaceChildren(...all.map((g) => {
    const made = make("button", {}, swatch(g), make("bdi", {}, state.names[g]));
    made.addEventListener("click", () => choose(state.names[g]));
    return made;
  }));
  const there = g >= 0 && lists[g]?.size > 0 && dialog.offered(g);
  $("ok").disabled = !typed || (!there && !dialog.fresh);
  $("ok").textContent = !typed || there || !dialog.fresh ? dialog.verb : `${dialog.verb} to a new group`;
}
function choose(name) {
  $("dialog").close();
  if (name) dialog.act(name);
}
$("target").addEventListener("input", showChoices);
$("target").addEventListener("keydown", (event) => {
  if (event.key !== "Enter") return;
  event.preventDefault();  // or the button that has the focus again takes it
  if (!$("ok").disabled) choose(cleaned($("target").value));
});
$("ok").addEventListener("click", () => choose(cleaned($("target").value)));
$("cancel").addEventListener("click", () => $("dialog").close());

// ---- Copies side by side, and files with a problem by what it is
function problemsByKind() {  // [heading, what it means, rows of images that belong together]
  const firsts = new Set(Object.values(D.duplicates)), at = new Map();
  if (firsts.size) D.files.forEach((file, i) => { if (firsts.has(file)) at.set(file, i); });
  const rows = { same: new Map(), like: new Map() };
  for (const [i, file] of Object.entries(D.duplicates)) {
    const first = at.get(file), copy = Number(i);
    const kind = picture(copy) && picture(copy) === picture(first) ? "same" : "like";
    if (!rows[kind].has(first)) rows[kind].set(first, [first]);
    rows[kind].get(first).push(copy);
  }
  const reasons = new Map();
  for (const i of outside) for (const why of (D.problems[i] ?? "").split("; ")) if (why || !D.duplicates[i]) {
    if (!reasons.has(why)) reasons.set(why, []);
    reasons.get(why).push(i);
  }
  const out = (all) => all.some((i) => D.group[i] < 0);
  const others = [...reasons].sort((a, b) => out(b[1]) - out(a[1]) || b[1].length - a[1].length);
  const pairs = (kind) => [...rows[kind].values()].map((row) => row.filter((i) => i !== undefined));
  return [
    ...others.filter(([, all]) => out(all)).map(([why, all]) => [why || "left out", all.map((i) => [i])]),
    ["copies: the same picture", pairs("same")],
    [B ? "copies and near-duplicates" : "near-duplicates: they look nearly the same", pairs("like")],
    ...others.filter(([, all]) => !out(all)).map(([why, all]) => [why, all.map((i) => [i])]),
  ].filter(([, all]) => all.length);
}
function drawProblems() {
  if ($("problems").firstChild) return;  // nothing about a file changes here
  const kinds = problemsByKind();
  $("problems-how").textContent = kinds.length
    ? "The files themselves were not touched. What has a picture is in a group: click it to see it there."
    : "No file has a problem, and none is a copy of another.";
  $("problems").replaceChildren(...kinds.map(([why, rows]) => {
    const list = make("ul", { class: rows[0].length > 1 ? "pairs" : "files" }), more = make("button");
    const size = rows.reduce((sum, row) => sum + Math.max(row.length - 1, 1), 0);
    const show = (limit) => {
      list.replaceChildren(...rows.slice(0, limit).map((row) => make("li", {}, ...row.map(problemFile))));
      more.hidden = rows.length <= limit;
      more.textContent = showMore(rows.length - limit, 100);
      more.onclick = () => show(limit + 100);
    };
    show(24);
    const title = `${why[0].toUpperCase()}${why.slice(1)}`, text = `${title} (${size.toLocaleString("en")})`;
    return make("section", { class: "kind", "aria-label": title },
      make("h2", {}, make("bdi", {}, text)), list, more);
  }));
}
function problemFile(i) {
  if (D.group[i] < 0) return make("bdi", { class: "file" }, D.files[i]);
  const made = make("button", { class: "file" }, look(i, picture(i), ""), make("bdi", {}, D.files[i]));
  made.addEventListener("click", () => reveal(i));
  return made;
}

// ---- Tools, and the start
let typing = 0;
$("search").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => { [wanted, queue] = [$("search").value.toLowerCase(), []]; draw(); }, 150);
});
$("only").addEventListener("change", () => { onlyUnsure = $("only").checked; draw(); });
$("move").addEventListener("click", () => openMove());
$("confirm").addEventListener("click", () => confirmThese([...selected]));
for (const id of ["undo", "back"]) $(id).addEventListener("click", undo);
$("redo").addEventListener("click", redo);
$("reset").addEventListener("click", startOver);
$("export").addEventListener("click", save);
addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=checkbox])"), key = event.key.toLowerCase();
  if (typing || !(event.ctrlKey || event.metaKey) || !["z", "y"].includes(key)) return;
  event.preventDefault();
  if (key === "y" || event.shiftKey) redo(); else undo();
});
addEventListener("beforeunload", (event) => {
  if (!exported && !linked && changes().length) event.preventDefault();
});
const restored = recall();
$("ask").hidden = !ids.length;
labelTab("problems", new Set([...outside, ...Object.keys(D.duplicates).map(Number)]).size);
showTab(location.hash.slice(5));
new ResizeObserver(drawMap).observe(plane);
new ResizeObserver(() => {  // what is scrolled to is not to lie under the tools
  document.documentElement.style.scrollPaddingTop = `${$("tools").offsetHeight}px`;
}).observe($("tools"));
say(restored ? "Your earlier corrections are back. “Start over” takes them away."
  : ids.length ? "Say what the image above shows, or click one below to select it."
  : images.length ? "Click an image to select it." : "There are no images to show.");
document.documentElement.dataset.ready = "";
if (parent !== window && !B) toNotebook({});  // is there one?
if (B) requestAnimationFrame(() => setTimeout(loadRest, 200));  // pictures come first
else setTimeout(graph, 50);  // so that the first answer is quick
