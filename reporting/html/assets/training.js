// The page of a training run. data.js calls run(…) with everything that changes. It is loaded
// again and again while the run is live, as a script: pages opened from the disk may not fetch.
"use strict";
const $ = id => document.getElementById(id);
const RELOAD_INTERVAL_MS = 5000;
let followsLatest = true;  // the slider stays at the newest epoch until someone moves it
let data = null;

function run(newData) {
  data = newData;
  document.title = `${data.name}: epoch ${data.epoch}`;
  $("status").textContent = data.status;
  $("badges").replaceChildren(...data.warnings.map(text => element("span", "badge", text)));
  updateSlider();
  showCurves();
  if (data.live) setTimeout(reloadData, RELOAD_INTERVAL_MS);
}

function reloadData() {
  const script = document.createElement("script");
  script.src = `data.js?${Date.now()}`;
  script.onload = () => script.remove();
  script.onerror = () => { script.remove(); setTimeout(reloadData, RELOAD_INTERVAL_MS); };
  document.body.append(script);
}

// --- images -----------------------------------------------------------------------------------

function updateSlider() {
  const slider = $("epoch");
  slider.max = Math.max(0, data.epochs.length - 1);
  if (followsLatest) slider.value = slider.max;
  showEpoch(data.epochs[slider.value]);
}

function showEpoch(epoch) {
  if (epoch === undefined) return;
  $("shown").textContent = epoch;
  const prefix = `epoch${String(epoch).padStart(3, "0")}`;
  for (const img of document.querySelectorAll(".row img")) {
    const address = img.getAttribute("src").replace(/epoch\d+/, prefix).replace(/\?.*/, "");
    // Images of the current epoch are overwritten: the query makes the browser load them again.
    const query = epoch === data.epoch ? `?${data.updated}` : "";
    img.parentNode.href = address;
    if (img.getAttribute("src") !== address + query) img.src = address + query;
  }
}

$("epoch").oninput = () => {
  followsLatest = $("epoch").value === $("epoch").max;
  showEpoch(data.epochs[$("epoch").value]);
};

// --- loss curves: one panel each, with the value under the pointer ----------------------------

const WIDTH = 300, HEIGHT = 130;
const MEAN_WINDOW = 1 / 20;  // of all points

function showCurves() {
  for (const [section, curves] of [["metrics", data.metrics], ["losses", data.curves]]) {
    const panels = Object.entries(curves).map(([name, points]) => panel(name, points, section));
    $(section).querySelector(".curves").replaceChildren(...panels);
    $(section).hidden = panels.length === 0;
  }
}

// A figure with points [images seen, value] and their running mean; the y axis starts at 0, or at
// the lowest value if that is negative, as with --gan_mode wgangp.
// Metrics have few points, which are not averaged; the best epoch is named and marked.
function panel(name, points, section) {
  const values = points.map(point => point[1]);
  const high = Math.max(...values, 1e-9), low = Math.min(...values, 0);
  const first = points[0][0], last = points.at(-1)[0];
  const x = point => WIDTH * (point[0] - first) / (last - first || 1);
  const y = point => HEIGHT * (high - point[1]) / (high - low);
  const epoch = images => (images / data.images_per_epoch).toFixed(1);

  const svg = svgElement("svg", {
    viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none",
    role: "img", "aria-label": `${name} over the run`,
  });
  const line = list => list.map(point => `${x(point).toFixed(1)},${y(point).toFixed(1)}`).join(" ");
  const cursor = svgElement("line", { class: "cursor", y1: 0, y2: HEIGHT, visibility: "hidden" });
  const mean = section === "metrics" ? points : runningMean(points);
  svg.append(svgElement("polyline", { class: "raw", points: line(points) }),
             svgElement("polyline", { class: "mean", points: line(mean) }), cursor);
  const best = section === "metrics" ? data.best[name] : undefined;
  const bestPoint = points.find(point => Math.round(point[0] / data.images_per_epoch) === best);
  if (bestPoint) {
    const at = x(bestPoint);
    svg.append(svgElement("line", { class: "best", y1: 0, y2: HEIGHT, x1: at, x2: at }));
  }

  const value = element("output");
  const showLast = () => { value.textContent = values.at(-1).toFixed(3); };
  showLast();
  svg.onpointermove = event => {
    const box = svg.getBoundingClientRect();
    const wanted = first + (last - first) * (event.clientX - box.left) / box.width;
    const nearest = points.reduce((a, b) =>
      Math.abs(b[0] - wanted) < Math.abs(a[0] - wanted) ? b : a);
    cursor.setAttribute("x1", x(nearest));
    cursor.setAttribute("x2", x(nearest));
    cursor.setAttribute("visibility", "visible");
    value.textContent = `${nearest[1].toFixed(3)} at epoch ${epoch(nearest[0])}`;
  };
  svg.onpointerleave = () => {
    cursor.setAttribute("visibility", "hidden");
    showLast();
  };

  const header = element("header"), plot = element("div", "plot"), footer = element("footer");
  const title = best === undefined ? name : `${name}, best at epoch ${best}`;
  header.append(element("span", "", title), value);
  footer.append(element("span", "", `epoch ${epoch(first)}`), element("span", "", epoch(last)));
  plot.append(element("span", "", high.toPrecision(3)), svg,
              element("span", "low", low ? low.toPrecision(3) : "0"), footer);
  const figure = element("figure");
  figure.append(header, plot);
  return figure;
}

// Exponential moving average over MEAN_WINDOW of the points, without bias at the start.
function runningMean(points) {
  const keep = 1 - 1 / Math.max(1, points.length * MEAN_WINDOW);
  let mean = 0, weight = 0;
  return points.map(([x, y]) => {
    mean = keep * mean + (1 - keep) * y;
    weight = keep * weight + 1 - keep;
    return [x, mean / weight];
  });
}

// --- elements ---------------------------------------------------------------------------------

function element(tag, className = "", text = "") {
  const created = document.createElement(tag);
  created.className = className;
  created.textContent = text;
  return created;
}

function svgElement(tag, attributes) {
  const created = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) created.setAttribute(name, value);
  return created;
}
