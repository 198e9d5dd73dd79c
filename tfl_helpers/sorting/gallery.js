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
const count = (n, one, many = one + "s") => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
const showMore = (left, step) => (left > step ? `Show ${step} more of ${left.toLocaleString("en")}`
  : `Show ${left} more`);
const MORE = 120;  // thumbnails of a group for each "Show more"; at first only whole rows
const columns = Math.max(4, Math.floor(document.querySelector("main").clientWidth / 70));
const FIRST = columns * Math.max(2, Math.ceil(20 / columns));

// ---- What is known of each file, by its number, and what the user changed
const n = D.files.length;
const images = D.group.flatMap((g, i) => (g < 0 ? [] : [i]));
let typicalFirst = D.order;
const doubtful = new Uint8Array(n), rank = new Int32Array(n);
images.forEach((i, r) => { rank[i] = r; });
const outside = D.files.flatMap((_, i) => (D.group[i] < 0 || D.problems[i] ? [i] : []));
const outsideCount = count(outside.length, "file with a problem", "files with a problem");
const lower = D.files.map((file) => file.toLowerCase());
// decided: 1 by hand, 2 by the answer to a question; opened: groups as they came, from which an
// image was named; passed: questions that were skipped; guessed: 1 right, 2 wrong, where it counts
const none = () => new Array(n).fill(0);
const start = { group: D.group, decided: none(), names: D.names, opened: D.names.map(() => 0),
  passed: none(), guessed: none() };
const state = Object.fromEntries(Object.entries(start).map(([what, all]) => [what, [...all]]));
const isDecided = (i) => state.decided[i] || ["moved", "named", "confirmed"].includes(D.corrected[i]);
// Where each image is shown, and how doubtful that is: `follow` finds it for those that follow names
const shown = Int32Array.from(D.group), doubts = Float64Array.from(D.doubt, (d) => d ?? NaN);
const isUnsure = (i) => doubtful[i] && !isDecided(i);
const nameOf = (i) => state.names[shown[i]] ?? "";
const doubt = (i) => (Number.isNaN(doubts[i]) ? "" : `doubt ${doubts[i].toFixed(2)}`);
const about = (i) => [D.files[i], doubt(i), isUnsure(i) && "unsure", isDecided(i) && "your word",
  D.duplicates[i] && `duplicate of ${D.duplicates[i]}`, D.problems[i]].filter(Boolean).join(", ");

const blocks = document.getElementsByClassName("pictures"), unpacked = [];
function picture(i) {  // "" where the page holds none
  const block = Math.floor(rank[i] / D.block);
  unpacked[block] ??= blocks[block].textContent.split("\n");
  const data = unpacked[block][rank[i] % D.block];
  return data && `data:image/webp;base64,${data}`;
}

// ---- Changes: each is a list of [what, where, new value], and so is its undoing
const history = [], memory = `tfl-gallery-${D.key}`;
let exported = true;
const apply = (edits) => edits.map(([what, at, to]) => {
  const from = state[what][at];
  state[what][at] = to;
  return [what, at, from];
}).reverse();
function change(edits, text) {
  if (!edits.length) return;
  history.push(apply(edits));
  exported = false;
  remember();
  draw();
  say(text);
}
const changes = () => Object.entries(state).flatMap(([what, all]) =>
  all.flatMap((value, at) => (value === start[what][at] ? [] : [[what, at, value]])));
let keeps = true;
function remember() {  // a page opened as a file may be forbidden to keep anything
  try { localStorage.setItem(memory, JSON.stringify({ edits: changes(), exported })); }
  catch { keeps = false; }
}
function recall() {
  try {
    const kept = JSON.parse(localStorage.getItem(memory));
    if (!kept?.edits.length) return false;
    apply(kept.edits);
    exported = kept.exported;
    return true;
  } catch { return (keeps = false); }
}
function say(text) {
  $("heard").textContent = text;
  $("said").textContent = text + (keeps ? "" : " (Not kept in this browser: export before you leave.)");
}

// ---- Names walk over the graph, as clustering.spread_names and sorting.follow have it in Python
const A = D.ask, graph = A?.graph && unpackedGraph(), walks = new Map();
function unpackedGraph() {
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const sizes = new Uint16Array(bytes(A.graph.sizes).buffer), weight = bytes(A.graph.weights);
  const to = new Uint16Array(bytes(A.graph.to).buffer), step = new Float64Array(to.length);
  const from = new Uint32Array(sizes.length + 1), root = new Float64Array(sizes.length);
  sizes.forEach((size, a) => { from[a + 1] = from[a] + size; });
  const each = (use) => sizes.forEach((_, a) => { for (let e = from[a]; e < from[a + 1]; e++) use(a, e); });
  each((a, e) => { root[a] += weight[e]; });
  root.forEach((sum, a) => { root[a] = 1 / Math.sqrt(sum); });
  each((a, e) => { step[e] = root[a] * weight[e] * root[to[e]]; });
  return { size: sizes.length, from, to, step };
}
function walk(givers) {  // how much of a name reaches each image
  const { size, from, to, step } = graph, start = new Float64Array(size);
  for (const a of givers) start[a] = 1 / Math.sqrt(givers.length);
  let reach = Float64Array.from(start), next = new Float64Array(size);
  for (let t = 0; t < 60; t++) {
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
if (graph) images.forEach((i, r) => { node[i] = A.node[r]; });
function follow() {
  for (const i of images) shown[i] = state.group[i], doubts[i] = D.doubt[i] ?? NaN;
  typicalFirst = D.order;
  doubtful.fill(0);
  for (const i of D.unsure) doubtful[i] = 1;
  if (!graph || !state.decided.some(Boolean)) return;  // as Python found it
  const givers = new Map(), told = new Map(), moving = images.filter((i) =>
    !isDecided(i) && (free[i] || state.opened[D.group[i]]));
  if (!moving.length) return;
  for (const i of images) if (isDecided(i) && state.names[state.group[i]] !== A.several) {
    if (!givers.has(state.group[i])) givers.set(state.group[i], new Set());
    givers.get(state.group[i]).add(node[i]);
    told.set(node[i], state.group[i]);
  }
  const reaches = [...givers].map(([g, nodes]) => {
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
const larges = A ? document.querySelector(".large").textContent.split("\n") : [];
const drawn = new Set(A?.drawn), ids = A?.order ?? [];
const isName = (name) => name && !/^(group \d+|new( \d+)?)$/.test(name) && name !== A.several;
let question = -1;
function namesGiven() {  // of which an image was named first comes first
  const first = new Map();
  for (const i of ids) if (isDecided(i) && state.group[i] >= 0 && !first.has(state.group[i]))
    first.set(state.group[i], first.size);
  const all = state.names.map((_, g) => g).filter((g) => lists[g].size && isName(state.names[g])
    && state.names[g] !== A.nothing);
  return all.sort((a, b) => (first.get(a) ?? n + a) - (first.get(b) ?? n + b));
}
function ask() {
  if (!ids.length) return;
  const at = ids.findIndex((i, q) => !isDecided(i) && !state.passed[i]);
  if (at !== question || !$("asked").firstChild) showQuestion((question = at));
  showNames();
  const named = ids.filter((i) => state.decided[i] === 2).length;
  const reached = images.filter((i) => isDecided(i) || isName(nameOf(i))).length;
  $("done").value = reached / images.length;
  const safe = exported ? "" : ` (${keeps ? "kept in this browser, " : ""}not exported yet)`;
  $("reached").textContent = `${count(named, "image")} named${named ? safe : ""}; ${
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
  const i = ids[at], large = larges[at];
  const look = (i, source, alt) => (source ? make("img", { src: source, alt, draggable: "false" })
    : make("span", { role: "img", "aria-label": alt }, D.files[i].split("/").at(-1).slice(-40)));
  $("ask").classList.toggle("over", at < 0);
  for (const id of ["given", "names", "skip", "several", "no-image", "beside"]) $(id).hidden = at < 0;
  $("given").value = "";
  $("asks-for").textContent = at < 0 ? "No more questions" : "What is this?";
  $("why").textContent = at < 0
    ? "Export what you said, sort with it, and the page has new ones. Below you can put single images right."
    : [drawn.has(at) ? "Drawn at random: what was guessed of it tells how many of all are right." : "",
      A.all ? "" : "So many images follow your names only when sorting runs again with what you export."]
      .filter(Boolean).join(" ");
  $("asked").replaceChildren(...(at < 0 ? [] : [look(i, large ? `data:image/webp;base64,${large}`
    : picture(i), D.files[i])]));
  $("beside").lastElementChild.replaceChildren(...(A.beside[at] ?? []).map((j) =>
    make("li", {}, look(j, picture(j), D.files[j]))));
}
function showNames() {
  const part = plain($("given").value);
  $("names").replaceChildren(...namesGiven().flatMap((g, k) => {
    if (!` ${plain(state.names[g])}`.includes(` ${part}`)) return [];
    const made = make("button", {}, ...(k < 9 ? [make("kbd", {}, String(k + 1)), " "] : []),
      make("bdi", {}, state.names[g]));
    made.addEventListener("click", () => answer(state.names[g]));
    return [made];
  }));
}
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
  change(edits, "");
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
function moveTo(name) {
  const ids = [...selected];
  let g = groupCalled(name);
  const edits = g < 0 ? [["names", (g = state.names.length), name]] : [];
  for (const i of ids) edits.push(["group", i, g], ["decided", i, 1]);
  afterwards(() => change(edits, `${count(ids.length, "image")} moved to “${name}”.`));
}
function confirmSelected() {
  const edits = [...selected].flatMap((i) =>
    [["group", i, shown[i]], ["decided", i, state.decided[i] || 1]]);
  afterwards(() => change(edits, `${count(edits.length / 2, "image")} confirmed.`));
}
function afterwards(act) {  // the focus stays where it was, on the image that comes next
  const here = document.activeElement, list = here.closest(".thumbs") ?? (here === plane ? null : lastList);
  const place = list ? options().indexOf(list.current) : -1;
  const before = options().slice(0, place).filter((o) => !selected.has(o.image)).length;
  selected.clear();
  act();
  if (place >= 0) (options()[before] ?? options().at(-1))?.focus({ preventScroll: true });
}
function undo() {
  if (!history.length) return;
  apply(history.pop());
  exported = false;
  remember();
  draw();
  say("The last change is undone.");
}
function startOver() {
  change(changes().map(([what, at]) => [what, at, start[what][at]]),
    "All corrections are taken back. Undo brings them again.");
}

// ---- Export: the table as it came, with groups and decisions as they are now
const saidOf = (i) => state.names[state.group[i]] ?? "";  // what only followed a name is no answer
function fate(i) {
  if (state.group[i] < 0) return D.corrected[i] ?? "";
  if (state.decided[i] === 2) return "named";
  if (state.decided[i]) return state.group[i] === D.group[i] ? "confirmed" : "moved";
  return D.corrected[i] ?? (saidOf(i) === D.names[D.group[i]] ? "" : "renamed");
}
function csv() {
  const cell = (text) => (/[",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  const guard = (name) => (/^'*[=+\-@]/.test(name) ? `'${name}` : name);  // no formula
  const lines = D.files.map((file, i) => [file, guard(saidOf(i)), String(D.doubt[i] ?? ""),
    isUnsure(i) ? "True" : "False", D.duplicates[i] ?? "", D.problems[i] ?? "", fate(i)]
    .map(cell).join(","));
  const head = "file,group,doubt,unsure,duplicate_of,problem,corrected";
  return [head, ...lines, ""].join("\n");
}
function save() {
  const address = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
  make("a", { href: address, download: "groups_corrected.csv" }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  exported = true;
  remember();
  ask();
  say("Saved as groups_corrected.csv, where your browser puts downloads.");
}

// ---- Groups as rows of thumbnails, made when they come near the screen
const PATHS = ["M1 0A1 1 0 1 1-1 0A1 1 0 1 1 1 0Z", "M-.85-.85H.85V.85H-.85Z", "M0-1L1 .8H-1Z",
  "M0-1.1L1.1 0 0 1.1-1.1 0Z", "M0 1L1-.8H-1Z",
  "M-.35-1H.35V-.35H1V.35H.35V1H-.35V.35H-1V-.35H-.35Z",
  "M-1-.6L-.6-1 0-.4 .6-1 1-.6 .4 0 1 .6 .6 1 0 .4-.6 1-1 .6-.4 0Z"];
// Okabe and Ito's colours, with grey for black: on the dark map each stands out. Seven shapes and
// eight colours make 56 pairs before one comes again, lighter.
const COLOURS = ["#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#f0e442", "#0072b2", "#d55e00",
  "#bbbbbb"];
const LIGHT = ["#b9e0f7", "#f6d48a", "#85d6bd", "#ecc9dc", "#faf6b8", "#7fb9de", "#f0a878", "#eeeeee"];
const shape = (g) => PATHS[g % 7];
const colour = (g) => (g % 112 < 56 ? COLOURS : LIGHT)[g % 8];
function swatch(g) {
  const draw = (tag, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  };
  const made = draw("svg", { viewBox: "-2 -2 4 4", class: "swatch", "aria-hidden": "true" });
  made.append(draw("path", { d: shape(g), fill: colour(g) }));
  return made;
}
let lists = [], found = -1, wanted = "", onlyUnsure = false, lit = -1, lastList = null;
const sections = [], selected = new Set();
const matches = (i) => (!onlyUnsure || isUnsure(i)) && (!wanted || lower[i].includes(wanted)
  || nameOf(i).toLowerCase().includes(wanted));
const options = () => [...document.querySelectorAll("#groups [role=option]")];
function sort() {  // the user's own and the one looked for, then the most certain, come first
  lists = state.names.map(() => ({ sure: [], unsure: [], size: 0 }));
  for (const first of [true, false]) for (const i of typicalFirst) {
    if ((i === found || Boolean(isDecided(i))) !== first) continue;
    const list = lists[shown[i]];
    list.size += 1;
    if (matches(i)) (isUnsure(i) ? list.unsure : list.sure).push(i);
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
  name.addEventListener("blur", () => { rename(g, name.value); name.value = state.names[g] ?? ""; });
  const all = make("button", {}, "Select all");
  all.addEventListener("click", () => select([...lists[g].sure, ...lists[g].unsure]));
  const size = make("span", { class: "quiet" }), rows = make("div");
  const section = make("section", { class: "group" },
    make("div", { class: "head" }, make("h2", {}, swatch(g), name), size, all), rows);
  Object.assign(section, { name, size, rows, limits: { sure: FIRST, unsure: FIRST } });
  $("groups").append(section);
  near.observe(section);
  return section;
}
function fill(g) {
  const section = sections[g], shown = { sure: 0, unsure: 0 };
  const cut = (kind) => lists[g][kind].slice(0, section.limits[kind]);
  const now = JSON.stringify(["sure", "unsure"].map((kind) => [lists[g][kind].length, state.names[g],
    cut(kind).map((i) => [i, Boolean(isDecided(i)), doubts[i]])]));
  if (section.now === now) return;  // nothing to do: pictures do not flicker
  section.now = now;
  section.rows.replaceChildren(...["sure", "unsure"].flatMap((kind) => strip(g, kind, cut(kind))));
}
function strip(g, kind, ids) {
  if (!ids.length) return [];
  const section = sections[g], left = lists[g][kind].length - ids.length;
  const list = make("ul", { class: `thumbs ${kind}`, role: "listbox", "aria-multiselectable": "true",
    "aria-label": `${state.names[g]}${kind === "unsure" ? ", unsure" : ""}` }, ...ids.map(thumb));
  list.current = list.firstChild;
  list.current.tabIndex = 0;
  const made = kind === "unsure" ? [make("h3", {}, `Unsure: ${lists[g].unsure.length}`), list] : [list];
  if (left > 0) {
    const more = make("button", {}, showMore(left, MORE));
    more.addEventListener("click", () => {
      section.limits[kind] += MORE;
      fill(g);
      section.querySelectorAll(`.${kind} li`)[ids.length]?.focus();
    });
    made.push(more);
  }
  return made;
}
function thumb(i) {
  const source = picture(i), alt = about(i);
  const made = make("li", { role: "option", tabindex: -1, "aria-selected": selected.has(i) },
    source ? make("img", { src: source, alt, draggable: "false" })
      : make("span", { role: "img", "aria-label": alt }, D.files[i].split("/").at(-1).slice(-40)));
  if (isDecided(i)) made.classList.add("decided");
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
    if (section.classList.contains("near")) fill(g);
  });
  const unsure = images.filter(isUnsure).length, mine = images.filter((i) => fate(i)).length;
  $("counts").replaceChildren(...[count(images.length, "image"),
    count(lists.filter((each) => each.size).length, "group"), `${unsure.toLocaleString("en")} unsure`,
    outside.length && outsideCount,
    mine && `${mine.toLocaleString("en")} corrected by you`,
    D.pictures < images.length && `${D.pictures.toLocaleString("en")} shown with a picture`,
  ].filter(Boolean).map((text) => make("li", {}, text)));
  const empty = images.length > 0 && sections.every((section) => section.hidden);
  $("nothing").hidden = !empty;
  $("nothing").textContent = wanted ? `No image matches “${wanted}”.` : "No image is unsure.";
  $("undo").disabled = $("back").disabled = !history.length;
  $("reset").hidden = !changes().length;
  ask();
  drawSelection();
  drawLegend();
  placeCard();
  if (held !== undefined && document.activeElement.image !== held)  // its thumbnail was made anew
    options().find((option) => option.image === held)?.focus({ preventScroll: true });
}
function drawSelection() {
  for (const each of options()) each.setAttribute("aria-selected", selected.has(each.image));
  $("move").disabled = $("confirm").disabled = !selected.size;
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
  if (clicked && (held || byFinger(event))) select(toggled(option.image));
  else if (clicked || !held) select([option.image]);
}
function below(option, down) {
  const here = option.getBoundingClientRect();
  const rows = options().map((o) => [o, o.getBoundingClientRect()])
    .filter(([, r]) => (down ? r.top >= here.bottom : r.bottom <= here.top));
  const edge = down ? Math.min(...rows.map(([, r]) => r.top)) : Math.max(...rows.map(([, r]) => r.top));
  const row = rows.filter(([, r]) => Math.abs(r.top - edge) < 5);
  return row.sort((a, b) => Math.abs(a[1].left - here.left) - Math.abs(b[1].left - here.left))[0]?.[0];
}
$("groups").addEventListener("click", (event) => {
  const option = event.target.closest("[role=option]");
  if (option) go(option, event);
});
$("groups").addEventListener("focusin", (event) => {
  const option = event.target.closest("[role=option]");
  if (!option) return;
  lastList = option.parentNode;
  lastList.current.tabIndex = -1;
  lastList.current = option;
  option.tabIndex = 0;
  if (option.matches(":focus-visible")) showCard(option.image, () => option.getBoundingClientRect());
});
$("groups").addEventListener("focusout", hideCard);
$("groups").addEventListener("pointerover", (event) => {
  const option = event.target.closest("[role=option]");
  if (option) showCard(option.image, () => option.getBoundingClientRect());
});
$("groups").addEventListener("pointerout", hideCard);
$("groups").addEventListener("keydown", (event) => {
  const option = event.target.closest("[role=option]");
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
  if (event.key === "m" && selected.size) openDialog();
  else if (event.key === "c" && selected.size) confirmSelected();
  else if (event.key === "Escape") { hideCard(); select([]); }
  else return false;
  return true;
}

// ---- The card beside the mouse, or beside what has the focus
let beside = null;  // gives the box that the card belongs to
function showCard(i, where) {
  const source = picture(i), card = $("card");
  card.replaceChildren(...(source ? [make("img", { src: source, alt: "" })] : []),
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

// ---- The map: stamps on a canvas; a grid of cells finds what is under the mouse
const plane = $("canvas"), SIDE = 4095, CELL = 64;
const mapped = D.places ? images.filter((i) => D.places[2 * rank[i]] >= 0) : [];
const px = (i) => D.places[2 * rank[i]], py = (i) => D.places[2 * rank[i] + 1];
const radius = mapped.length < 500 ? 6 : mapped.length < 5000 ? 4 : mapped.length < 20000 ? 3 : 2;
const view = { x: SIDE / 2, y: SIDE / 2, zoom: 1 }, cells = new Map();
let pending = 0, pointed = -1;
for (const i of mapped) {
  const cell = Math.floor(px(i) / CELL) * 100 + Math.floor(py(i) / CELL);
  if (!cells.has(cell)) cells.set(cell, []);
  cells.get(cell).push(i);
}
const scale = () => ((plane.clientWidth - 24) / SIDE) * view.zoom;
const onScreen = (i) => [plane.clientWidth / 2 + (px(i) - view.x) * scale(),
  plane.clientHeight / 2 + (py(i) - view.y) * scale()];
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
  if (mapped.length) pending ||= requestAnimationFrame(paint);
}
function paint() {
  pending = 0;
  const ratio = devicePixelRatio, side = Math.round(plane.clientWidth * ratio);
  const pen = plane.getContext("2d"), s = scale() * ratio;
  if (plane.width !== side) plane.width = plane.height = side;
  pen.clearRect(0, 0, side, side);
  const put = (ids, size) => {
    const stamps = [];
    for (const i of ids) {
      const mark = (stamps[shown[i]] ??= stamp(shown[i], size * ratio));
      const x = side / 2 + (px(i) - view.x) * s, y = side / 2 + (py(i) - view.y) * s;
      if (x > 0 && y > 0 && x < side && y < side)
        pen.drawImage(mark, Math.round(x - mark.width / 2), Math.round(y - mark.width / 2));
    }
  };
  const bright = (i) => (lit < 0 || shown[i] === lit) && matches(i);
  const chosen = mapped.filter((i) => selected.has(i));
  pen.globalAlpha = 0.12;
  put(mapped.filter((i) => !bright(i)), radius);
  pen.globalAlpha = 1;
  put(mapped.filter(bright), radius);
  put(chosen, radius + 2);
  pen.strokeStyle = "#fff";
  pen.lineWidth = 2 * ratio;
  for (const i of chosen.slice(0, 2000)) {
    pen.beginPath();
    pen.arc(side / 2 + (px(i) - view.x) * s, side / 2 + (py(i) - view.y) * s, (radius + 5) * ratio, 0, 7);
    pen.stroke();
  }
}
function nearest(event) {
  const box = plane.getBoundingClientRect(), s = scale(), reach = 14 / s;
  const x = view.x + (event.clientX - box.left - box.width / 2) / s;
  const y = view.y + (event.clientY - box.top - box.height / 2) / s;
  let best = -1, least = reach;
  for (let cx = Math.floor((x - reach) / CELL); cx <= (x + reach) / CELL; cx++)
    for (let cy = Math.floor((y - reach) / CELL); cy <= (y + reach) / CELL; cy++)
      for (const i of cells.get(cx * 100 + cy) ?? []) {
        const far = Math.hypot(px(i) - x, py(i) - y);
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
  showCard(i, () => $("ring").getBoundingClientRect());
}
function zoom(times, x = 0, y = 0) {  // x, y: pixels from the middle that stay where they are
  const before = scale();
  view.zoom = Math.max(1, Math.min(40, view.zoom * times));
  view.x += x / before - x / scale();
  view.y += y / before - y / scale();
  if (view.zoom === 1) view.x = view.y = SIDE / 2;
  plane.classList.toggle("zoomed", view.zoom > 1);
  point(-1);
  drawMap();
}
function reveal(i) {  // show it at the head of its group
  found = i;
  $("search").value = wanted = "";
  $("only").checked = onlyUnsure = false;
  draw();
  const section = sections[shown[i]];
  section.classList.add("near");
  fill(shown[i]);
  [...section.querySelectorAll("[role=option]")].find((o) => o.image === i).focus();
  select([(anchor = i)]);
}
let drag = null;
plane.addEventListener("pointerdown", (event) => { drag = { x: event.clientX, y: event.clientY, far: 0 }; });
addEventListener("pointerup", () => setTimeout(() => { drag = null; }));
plane.addEventListener("pointermove", (event) => {
  if (!drag || view.zoom === 1) return point(nearest(event));
  drag.far += Math.hypot(event.clientX - drag.x, event.clientY - drag.y);
  view.x -= (event.clientX - drag.x) / scale();
  view.y -= (event.clientY - drag.y) / scale();
  Object.assign(drag, { x: event.clientX, y: event.clientY });
  point(-1);
  drawMap();
});
plane.addEventListener("pointerleave", () => point(-1));
plane.addEventListener("click", (event) => {
  if (drag?.far > 5) return;
  const i = nearest(event), several = event.ctrlKey || event.metaKey || event.shiftKey
    || byFinger(event);
  point(i);
  if (i >= 0) select(several ? toggled(i) : [i]);
});
plane.addEventListener("dblclick", (event) => { if (nearest(event) >= 0) reveal(nearest(event)); });
plane.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && document.activeElement !== plane) return;  // the page scrolls
  event.preventDefault();
  const box = plane.getBoundingClientRect();
  zoom(event.deltaY < 0 ? 1.25 : 0.8, event.clientX - box.left - box.width / 2,
    event.clientY - box.top - box.height / 2);
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
function drawLegend() {
  if (!mapped.length) return;
  $("legend").replaceChildren(...state.names.flatMap((name, g) => {
    if (!lists[g].size) return [];
    const made = make("button", {}, swatch(g), make("bdi", {}, name),
      make("span", { class: "quiet" }, lists[g].size.toLocaleString("en")));
    const light = (to) => () => { lit = to; drawMap(); };
    for (const [type, to] of Object.entries({ pointerenter: g, focus: g, pointerleave: -1, blur: -1 }))
      made.addEventListener(type, light(to));
    made.addEventListener("click", () => {
      sections[g].scrollIntoView();
      sections[g].name.focus({ preventScroll: true });
    });
    return [make("li", {}, made)];
  }));
}

// ---- The dialog that asks where to
function openDialog() {
  $("dialog-title").textContent = `Move ${count(selected.size, "image")} to`;
  $("target").value = "";
  showChoices();
  hideCard();
  $("dialog").showModal();
  $("target").focus();
}
function showChoices() {
  const typed = cleaned($("target").value), part = typed.toLowerCase();
  const all = state.names.flatMap((name, g) => (lists[g].size && name.toLowerCase().includes(part) ? [g] : []));
  $("choices").replaceChildren(...all.map((g) => {
    const made = make("button", {}, swatch(g), make("bdi", {}, state.names[g]));
    made.addEventListener("click", () => choose(state.names[g]));
    return made;
  }));
  $("ok").disabled = !typed;
  $("ok").textContent = !typed || groupCalled(typed) >= 0 ? "Move" : "Move to a new group";
}
function choose(name) {
  $("dialog").close();
  if (name) moveTo(name);
}
$("target").addEventListener("input", showChoices);
$("target").addEventListener("keydown", (event) => {
  if (event.key === "Enter") choose(cleaned($("target").value));
});
$("ok").addEventListener("click", () => choose(cleaned($("target").value)));
$("cancel").addEventListener("click", () => $("dialog").close());

// ---- Tools, files with a problem, and the start
function drawProblems(limit) {
  const left = outside.length - limit, more = $("problems").lastElementChild;
  $("problems").hidden = !outside.length;
  $("problems-title").textContent = outsideCount;
  $("problems").querySelector("ul").replaceChildren(...outside.slice(0, limit).map((i) => make("li", {},
    make("bdi", {}, make("b", {}, D.files[i])), `: ${D.problems[i] ?? "left out, as it is like another"}`,
    ...(D.duplicates[i] ? [" (", make("bdi", {}, D.duplicates[i]), ")"] : []),
    D.group[i] < 0 ? "" : " (sorted all the same)")));
  more.hidden = left <= 0;
  more.textContent = showMore(left, 500);
  more.onclick = () => drawProblems(limit + 500);
}
let typing = 0;
$("search").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => { wanted = $("search").value.toLowerCase(); draw(); }, 150);
});
$("only").addEventListener("change", () => { onlyUnsure = $("only").checked; draw(); });
$("move").addEventListener("click", openDialog);
$("confirm").addEventListener("click", confirmSelected);
for (const id of ["undo", "back"]) $(id).addEventListener("click", undo);
$("reset").addEventListener("click", startOver);
$("export").addEventListener("click", save);
addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=checkbox])");
  if (event.key === "z" && (event.ctrlKey || event.metaKey) && !typing) {
    event.preventDefault();
    undo();
  }
});
addEventListener("beforeunload", (event) => { if (!exported && changes().length) event.preventDefault(); });
const restored = recall();
$("map").hidden = !mapped.length;
$("ask").hidden = !ids.length;
draw();
drawProblems(100);
if (mapped.length) new ResizeObserver(drawMap).observe(plane);
say(restored ? "Your earlier corrections are back. “Start over” takes them away."
  : ids.length ? "Say what the image above shows, or click one below to select it."
  : images.length ? "Click an image to select it." : "There are no images to show.");
document.documentElement.dataset.ready = "";
