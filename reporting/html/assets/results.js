// The gallery of results: sliders, filter, and a view in full size.
"use strict";
const $ = id => document.getElementById(id);
const cards = [...document.querySelectorAll(".gallery > figure")];
const shown = () => cards.filter(card => !card.hidden);

document.addEventListener("input", event => {
  if (event.target.matches(".compare input"))
    event.target.parentNode.style.setProperty("--at", event.target.value + "%");
});

$("filter").oninput = () => {
  const words = $("filter").value.toLowerCase().split(/\s+/);
  for (const card of cards)
    card.hidden = !words.every(word => card.dataset.name.toLowerCase().includes(word));
  $("count").textContent = `${shown().length} of ${cards.length}`;
};

$("all").oninput = () => {
  for (const slider of document.querySelectorAll(".gallery .compare input")) {
    slider.value = $("all").value;
    slider.parentNode.style.setProperty("--at", slider.value + "%");
  }
};

// In full size: the arrows go to the image before and after, Escape goes back.
let open = null;
function enlarge(card) {
  open = card;
  const compare = card.querySelector(".compare").cloneNode(true);
  for (const img of compare.querySelectorAll("img")) img.loading = "eager";
  $("large").replaceChildren(compare);
  $("caption").textContent = card.dataset.name;
  if (!$("view").open) $("view").showModal();
}
document.addEventListener("click", event => {
  const button = event.target.closest("button.enlarge");
  if (button) enlarge(button.closest("figure"));
});
$("view").onkeydown = event => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const next = step && shown()[shown().indexOf(open) + step];
  if (next) enlarge(next);
  if (step) event.preventDefault();
};
$("view").onclick = event => { if (event.target === $("view")) $("view").close(); };
