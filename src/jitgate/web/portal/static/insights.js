// Charts, drawn out of the tables that stand behind them; in the colours of the theme, and anew when that or the width changes.
(() => {
  "use strict";
  if (!window.uPlot) return;
  const HEIGHT = 240;
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  function read(table) {
    const heads = [...table.tHead.rows[0].cells];
    const shown = heads.map((cell, at) => ({ at, label: cell.textContent, tone: cell.dataset.series })).filter((one) => one.tone);
    const rows = [...table.tBodies[0].rows];
    const days = rows.map((row) => Date.parse(`${row.cells[0].dataset.day}T00:00:00Z`) / 1000);
    const values = shown.map((one) => rows.map((row) => (row.cells[one.at].dataset.value === undefined ? null : Number(row.cells[one.at].dataset.value))));
    return { shown, data: [days, ...values] };
  }

  const seconds = (value) => (value === null || value === undefined ? "–" : value < 1 ? `${Math.round(value * 1000)} ms` : `${Math.round(value * 10) / 10} s`);
  const number = (value) => (value === null || value === undefined ? "–" : String(value));

  function options(box, shown, width) {
    const say = box.dataset.unit === "s" ? seconds : number;
    const isBars = box.dataset.chart === "bars";
    const axis = { stroke: colour("ink-soft"), grid: { stroke: colour("line"), width: 1 }, ticks: { show: false }, font: "12px system-ui, sans-serif" };
    const series = shown.map((one, at) => ({
      label: one.label,
      stroke: colour(one.tone),
      width: isBars ? 0 : 2,
      dash: isBars ? [] : [[], [6, 4], [2, 3]][at],
      fill: isBars ? `color-mix(in srgb, ${colour(one.tone)} ${at ? 85 : 60}%, transparent)` : undefined,
      paths: isBars ? uPlot.paths.bars({ size: [0.7 - at * 0.2, 36] }) : undefined,
      points: { show: !isBars, size: 6, fill: colour(one.tone) },
      spanGaps: true,
      value: (_plot, value) => say(value),
    }));
    return {
      width,
      height: HEIGHT,
      tzDate: (at) => uPlot.tzDate(new Date(at * 1000), "Etc/UTC"),
      scales: { x: { time: true, range: (_plot, low, high) => [low - 43200, high + 43200] }, y: { range: (_plot, _low, high) => [0, Math.max(high * 1.1, isBars ? 4 : 0.01)] } },
      axes: [axis, { ...axis, size: 64, values: (_plot, ticks) => ticks.map((tick) => (isBars && tick % 1 ? "" : say(tick))) }],
      series: [{ label: "Day", value: (_plot, at) => (at ? new Date(at * 1000).toISOString().slice(0, 10) : "–") }, ...series],
      cursor: { y: false, drag: { x: false, y: false } },
    };
  }

  const drawn = new Map();
  function draw(box) {
    const place = box.querySelector(".chart");
    const { shown, data } = read(box.querySelector(".table-box table"));
    drawn.get(box)?.destroy();
    drawn.set(box, new uPlot(options(box, shown, place.clientWidth), data, place));
  }

  const boxes = [...document.querySelectorAll("[data-chart]")];
  const drawAll = () => boxes.forEach(draw);
  drawAll();
  let wait;
  addEventListener("resize", () => { clearTimeout(wait); wait = setTimeout(() => drawn.forEach((plot, box) => plot.setSize({ width: box.querySelector(".chart").clientWidth, height: HEIGHT })), 100); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  new MutationObserver(drawAll).observe(document.documentElement, { attributeFilter: ["data-theme"] });
})();
