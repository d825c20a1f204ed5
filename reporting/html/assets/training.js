// The page of a run. data.js calls run(…) with all that changes; it is loaded again and again
// while the run lives, also from the disk, where a page may not read files in any other way.
"use strict";
const $ = id => document.getElementById(id);
const EVERY = 5000;  // milliseconds between two looks
let following = true;  // the slider stays at the newest epoch until somebody moves it
let data = null;

function run(news) {
  data = news;
  $("status").textContent = data.status;
  document.title = `${data.name}: epoch ${data.epoch}`;
  $("badges").replaceChildren(...data.warnings.map(text => element("span", "badge", text)));
  showEpochs();
  showCurves();
  if (data.live) setTimeout(look, EVERY);
}

function look() {
  const script = document.createElement("script");
  script.src = `data.js?${Date.now()}`;
  script.onload = () => script.remove();
  script.onerror = () => { script.remove(); setTimeout(look, EVERY); };
  document.body.append(script);
}

function showEpochs() {
  const slider = $("epoch");
  slider.max = Math.max(0, data.epochs.length - 1);
  if (following) slider.value = slider.max;
  showEpoch(data.epochs[slider.value]);
}

function showEpoch(epoch) {
  if (epoch === undefined) return;
  $("shown").textContent = epoch;
  const mark = `epoch${String(epoch).padStart(3, "0")}`;
  for (const img of document.querySelectorAll(".row img")) {
    // While an epoch lasts its images change under the same name.
    const fresh = epoch === data.epoch ? `?${data.updated}` : "";
    const address = img.getAttribute("src").replace(/epoch\d+/, mark).replace(/\?.*/, "");
    img.parentNode.href = address;
    if (img.getAttribute("src") !== address + fresh) img.src = address + fresh;
  }
}

$("epoch").oninput = () => {
  following = $("epoch").value === $("epoch").max;
  showEpoch(data.epochs[$("epoch").value]);
};

// --- loss curves: one panel each, with the value under the pointer --------------------------

const WIDTH = 300, HEIGHT = 130;

function showCurves() {
  const panels = Object.entries(data.curves).map(([name, points]) => panel(name, points));
  if (!panels.length) return;
  $("curves").replaceChildren(...panels);
  $("still").hidden = true;
}

function panel(name, points) {
  const figure = element("figure"), head = element("header"), value = element("output");
  const last = points.at(-1);
  value.textContent = last[1].toFixed(3);
  head.append(element("span", "", name), value);
  const high = Math.max(...points.map(p => p[1]), 1e-9);
  const first = points[0][0], span = last[0] - first || 1;
  const x = p => WIDTH * (p[0] - first) / span, y = p => HEIGHT * (1 - Math.max(0, p[1]) / high);
  const svg = draw("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none",
                            role: "img", "aria-label": `${name} over the run` });
  const line = list => list.map(p => `${x(p).toFixed(1)},${y(p).toFixed(1)}`).join(" ");
  const at = draw("line", { class: "at", y1: 0, y2: HEIGHT, visibility: "hidden" });
  svg.append(draw("polyline", { class: "raw", points: line(points) }),
             draw("polyline", { class: "mean", points: line(smooth(points)) }), at);
  svg.onpointermove = event => {
    const box = svg.getBoundingClientRect();
    const wanted = first + span * (event.clientX - box.left) / box.width;
    const near = points.reduce((a, b) =>
      Math.abs(b[0] - wanted) < Math.abs(a[0] - wanted) ? b : a);
    at.setAttribute("x1", x(near)); at.setAttribute("x2", x(near));
    at.setAttribute("visibility", "visible");
    value.textContent = `${near[1].toFixed(3)} at epoch ${(near[0] / data.length).toFixed(1)}`;
  };
  svg.onpointerleave = () => {
    at.setAttribute("visibility", "hidden");
    value.textContent = last[1].toFixed(3);
  };
  figure.append(head, svg);
  return figure;
}

// The running mean with a memory of a twentieth of the points.
function smooth(points) {
  const keep = 1 - 1 / Math.max(1, points.length / 20);
  let mean = 0, weight = 0;
  return points.map(([x, y]) => {
    mean = keep * mean + (1 - keep) * y;
    weight = keep * weight + 1 - keep;
    return [x, mean / weight];
  });
}

function element(kind, className = "", text = "") {
  const made = document.createElement(kind);
  made.className = className;
  made.textContent = text;
  return made;
}

function draw(kind, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}
