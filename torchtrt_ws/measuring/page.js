// The page of a report. Names of programs and engines are foreign text: they become text nodes and nothing else.
"use strict";

/** The fastest point of a curve that takes no more than `memory` bytes of the device; of equals the smallest. */
function pick(curve, memory) {
  const fitting = curve.filter((point) => point.device_bytes <= memory);
  fitting.sort((a, b) => a.milliseconds - b.milliseconds || a.device_bytes - b.device_bytes);
  return fitting.length ? fitting[0] : null;
}

/** A size for people: three digits. */
function bytesText(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes, unit = 0;
  while (value >= 1024 && unit < units.length - 1) { value /= 1024; unit += 1; }
  return unit === 0 ? `${bytes} B` : `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${units[unit]}`;
}

/** What so many milliseconds for one call come to. */
function throughputText(milliseconds, batch) {
  const calls = 1000 / milliseconds;
  return `${Number(((batch ?? 1) * calls).toPrecision(3))} ${batch === null ? "calls" : "rows"}/s`;
}

function show(data) {
  const at = (id) => document.getElementById(id);
  const plot = document.querySelector(".js-plotly-plot");
  const traces = 4; // of each batch, in the order of torchtrt_ws/measuring/page.py; one more marks what is picked

  function bounds(curve) {
    const sizes = curve.map((point) => point.device_bytes);
    return [Math.min(...sizes), Math.max(...sizes)];
  }

  function update() {
    const {batch, curve} = data.batches[at("batch").selectedIndex];
    const [low, high] = bounds(curve);
    const memory = low + (high - low) * at("memory").value / at("memory").max;
    const point = pick(curve, memory);
    at("size").textContent = bytesText(Math.round(memory));
    at("budget").textContent = bytesText(point.budget_bytes);
    at("latency").textContent = `${Number(point.milliseconds.toPrecision(4))} ms`;
    at("p99").textContent = `${Number(point.p99_milliseconds.toPrecision(4))} ms`;
    at("throughput").textContent = throughputText(point.milliseconds, batch);
    at("streamed").textContent = bytesText(point.streamed_bytes);
    at("device").textContent = bytesText(point.device_bytes);
    at("note").textContent = point.automatic ? "This is what \"auto\" would keep there." : "";
    at("line").textContent = point.line;
    at("engines").replaceChildren(...Object.entries(point.parts).map(([name, part]) => {
      const row = document.createElement("tr");
      const share = document.createElement("meter");
      share.max = Math.max(part.streamable_bytes, 1);
      share.value = part.budget_bytes;
      share.setAttribute("aria-label", "share of the streamable weights on the device");
      const cells = [name, bytesText(part.budget_bytes), bytesText(part.streamable_bytes), share,
        bytesText(part.streamed_bytes), String(Number(part.milliseconds.toPrecision(4)))];
      for (const cell of cells) row.insertCell().append(cell);
      return row;
    }));
    Plotly.restyle(plot, {x: [[point.device_bytes / data.unit_bytes]], y: [[point.milliseconds]]},
      [traces * data.batches.length]);
  }

  for (const {batch} of data.batches) at("batch").add(new Option(String(batch)));
  at("batches").hidden = data.batches.length < 2;
  at("batch").addEventListener("change", () => {
    const chosen = at("batch").selectedIndex;
    const all = [...Array(traces * data.batches.length).keys()];
    Plotly.restyle(plot, {visible: all.map((index) => Math.floor(index / traces) === chosen)}, all);
    update();
  });
  at("memory").addEventListener("input", update);
  update();
}

if (typeof document !== "undefined") show(JSON.parse(document.getElementById("data").textContent));
