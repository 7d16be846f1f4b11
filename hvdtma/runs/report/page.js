"use strict";
// A finger that scrolls the page must not zoom a figure.
const touch = matchMedia("(pointer: coarse)").matches;
let plots = [];
// Buttons are named one by one: plotly's own choice includes one that uploads the figure.
const config = {
  responsive: true,
  displaylogo: false,
  displayModeBar: touch ? false : "hover",
  modeBarButtons: [["toImage", "resetScale2d"]],
  plotlyServerURL: "",
};

const element = (number) => document.getElementById(`plot-${number}`);

async function unpacked(id) {
  const bytes = Uint8Array.from(atob(document.getElementById(id).textContent), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

async function draw() {
  plots = JSON.parse(await unpacked("plots"));
  const script = document.createElement("script");
  script.textContent = await unpacked("plotly");
  document.head.append(script);
  plots.forEach((plot, number) => {
    if (touch) plot.layout.dragmode = false;
    Plotly.newPlot(element(number), plot.data, plot.layout, config);
  });
}

const drawn = canUnpack() ? draw() : Promise.resolve();

function canUnpack() {
  if ("DecompressionStream" in window) return true;
  for (const place of document.querySelectorAll(".plot"))
    place.textContent = "This browser cannot draw the figure; use one from 2023 or later.";
  return false;
}

function press(buttons, pressed) {
  for (const button of buttons) button.setAttribute("aria-pressed", String(pressed(button)));
}

// One metric of a figure at a time.
for (const group of document.querySelectorAll(".choices")) {
  group.addEventListener("click", ({ target }) => {
    const chosen = target.dataset.choice;
    if (chosen === undefined || !plots.length) return;
    const { choices } = plots[group.dataset.plot];
    press(group.children, (button) => button === target);
    const traces = Object.values(choices).flat();
    const visible = traces.map((trace) => choices[chosen].includes(trace));
    Plotly.restyle(element(group.dataset.plot), { visible }, traces);
  });
}

// A trainer's lines in all figures at once.
for (const button of document.querySelectorAll("[data-trainer]")) {
  button.addEventListener("click", () => {
    const visible = button.getAttribute("aria-pressed") !== "true";
    const trainer = Number(button.dataset.trainer);
    press([button], () => visible);
    plots.forEach((plot, number) => {
      const traces = plot.data.flatMap((t, i) => (t.meta?.trainer === trainer ? [i] : []));
      if (traces.length) Plotly.restyle(element(number), { visible }, traces);
    });
  });
}
