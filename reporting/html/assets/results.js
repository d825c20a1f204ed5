// The gallery of results: sliders between input and translation, a filter, and a full-size view.
"use strict";
const $ = id => document.getElementById(id);
const cards = [...document.querySelectorAll(".gallery > figure")];
const visibleCards = () => cards.filter(card => !card.hidden);

function moveLine(slider) {
  slider.parentNode.style.setProperty("--at", slider.value + "%");
}

document.addEventListener("input", event => {
  if (event.target.matches(".compare input")) moveLine(event.target);
});

$("all").oninput = () => {
  for (const slider of document.querySelectorAll(".gallery .compare input")) {
    slider.value = $("all").value;
    moveLine(slider);
  }
};

$("filter").oninput = () => {
  const words = $("filter").value.toLowerCase().split(/\s+/);
  for (const card of cards)
    card.hidden = !words.every(word => card.dataset.name.toLowerCase().includes(word));
  $("count").textContent = `${visibleCards().length} of ${cards.length}`;
};

// --- full size: arrow keys show the next and previous images, Escape closes -------------------

let current = null;

function enlarge(card) {
  current = card;
  const images = card.querySelector(".images").cloneNode(true);
  for (const img of images.querySelectorAll("img")) img.loading = "eager";
  $("large").replaceChildren(images);
  $("caption").textContent = card.dataset.name;
  if (!$("view").open) $("view").showModal();
}

document.addEventListener("click", event => {
  const button = event.target.closest("button.enlarge");
  if (button) enlarge(button.closest("figure"));
});

// On the document: replacing the images removes the focused slider, and keys then go to the body.
document.addEventListener("keydown", event => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step || !$("view").open) return;
  event.preventDefault();
  const next = visibleCards()[visibleCards().indexOf(current) + step];
  if (next) enlarge(next);
});

$("view").onclick = event => { if (event.target === $("view")) $("view").close(); };
