// Draws the overview from the JSON that the server gives, again and again while the page is looked at.
(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 320, HEIGHT = 110, TOP = 12, BOTTOM = 94;
  const COLOURS = 6;
  const page = document.querySelector(".fluxlit-overview");
  const status = page.querySelector("[data-status]");
  const interval = Math.max(Number(page.dataset.interval) || 5, 2) * 1000;

  const element = (name, attributes, text) => {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes || {})) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const shape = (name, attributes, text) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const inBytes = (number) => {
    const units = ["B", "KB", "MB", "GB", "TB"];
    let unit = 0;
    while (number >= 1024 && unit < units.length - 1) {
      number /= 1024;
      unit += 1;
    }
    return `${number >= 10 || unit === 0 ? Math.round(number) : number.toFixed(1)} ${units[unit]}`;
  };
  const formats = { bytes: inBytes, "": (number) => number.toLocaleString() };

  const ago = (seconds) => {
    if (seconds < 90) return `${Math.round(seconds)} s ago`;
    if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
    return `${Math.round(seconds / 3600)} h ago`;
  };

  // A round number that is not below the greatest value.
  const ceiling = (greatest, isBytes) => {
    if (isBytes) {
      const step = 2 ** Math.max(Math.floor(Math.log2(Math.max(greatest, 1))) - 2, 0);
      return Math.ceil((greatest || 1) / step) * step;
    }
    const power = 10 ** Math.floor(Math.log10(Math.max(greatest, 1)));
    return [1, 2, 4, 5, 10].map((step) => step * power).find((top) => top >= greatest) || 1;
  };

  const draw = (figure, series) => {
    const isBars = figure.dataset.shape === "bars";
    const format = formats[figure.dataset.unit || ""];
    const shown = series.filter((line) => line.points.length > 0);
    const points = shown.flatMap((line) => line.points);
    const picture = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", preserveAspectRatio: "none" });
    picture.setAttribute("preserveAspectRatio", "xMidYMid meet");
    const parts = [];
    if (points.length === 0) {
      parts.push(shape("text", { x: WIDTH / 2, y: HEIGHT / 2, class: "empty", "text-anchor": "middle" }, "Nothing reported yet"));
    } else {
      const times = points.map(([time]) => time);
      const first = Math.min(...times);
      const last = Math.max(...times);
      const top = ceiling(Math.max(...points.map(([, value]) => value)), figure.dataset.unit === "bytes");
      const y = (value) => BOTTOM - (value / top) * (BOTTOM - TOP);
      parts.push(shape("line", { class: "axis", x1: 0, x2: WIDTH, y1: BOTTOM + 0.5, y2: BOTTOM + 0.5 }));
      parts.push(shape("text", { class: "label", x: 0, y: TOP - 3 }, format(top)));
      shown.forEach((line, index) => {
        const colour = `series-${index % COLOURS}`;
        if (isBars) {
          const step = WIDTH / line.points.length;
          line.points.forEach(([, value], number) => {
            if (value > 0) parts.push(shape("rect", { class: `bar ${colour}`, x: number * step + 1, width: step - 2, y: y(value), height: BOTTOM - y(value) }));
          });
        } else {
          const x = (time) => (last > first ? ((time - first) / (last - first)) * WIDTH : WIDTH);
          const path = line.points.map(([time, value]) => `${x(time).toFixed(1)},${y(value).toFixed(1)}`);
          if (path.length === 1) path.unshift(`0,${path[0].split(",")[1]}`);
          parts.push(shape("polyline", { class: `line ${colour}`, points: path.join(" ") }));
        }
      });
      const span = isBars ? last - first + 3600 : last - first;
      parts.push(shape("text", { class: "label", x: 0, y: HEIGHT - 3 }, span > 0 ? ago(span) : ""));
      parts.push(shape("text", { class: "label", x: WIDTH, y: HEIGHT - 3, "text-anchor": "end" }, "now"));
    }
    picture.append(...parts);

    const legend = element("ul", { class: "fluxlit-legend" });
    const words = [];
    shown.forEach((line, index) => {
      const values = line.points.map(([, value]) => value);
      const number = isBars ? values.reduce((sum, value) => sum + value, 0) : values[values.length - 1];
      const text = isBars ? `${format(number)} in 24 h` : shown.length > 1 || line.name !== "open sockets" ? `${line.name} ${format(number)}` : `${format(number)} now`;
      const item = element("li");
      const dot = shape("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" });
      dot.append(shape("circle", { class: `bar series-${index % COLOURS}`, cx: 5, cy: 5, r: 4 }));
      item.append(dot, text);
      legend.append(item);
      words.push(text);
    });
    picture.setAttribute("aria-label", `${figure.querySelector("figcaption").textContent}: ${words.join(", ") || "nothing yet"}`);
    figure.replaceChildren(figure.querySelector("figcaption"), picture, legend);
  };

  const cell = (content, className) => {
    const made = element("td", className ? { class: className } : {});
    made.append(content);
    return made;
  };
  const tones = { ready: "good", draining: "warn", starting: "warn", restarting: "warn", failed: "bad", stopped: "bad" };
  const rows = {
    sidecars: (sidecar, hosts) => {
      const state = element("span", { class: `fluxlit-${tones[sidecar.state] || "plain"}` }, sidecar.state);
      if (sidecar.detail) state.title = sidecar.detail;
      const name = hosts > 1 ? `${sidecar.host}: ${sidecar.name}` : sidecar.name;
      return [
        cell(sidecar.generation > 1 ? `${name} (generation ${sidecar.generation})` : name),
        cell(state),
        cell(formats[""](sidecar.sessions), "fluxlit-number"),
        cell(sidecar.rss_bytes ? inBytes(sidecar.rss_bytes) : "–", "fluxlit-number"),
        cell(formats[""](sidecar.restarts), "fluxlit-number"),
      ];
    },
    workers: (worker) => [
      cell(worker.host),
      cell(String(worker.pid), "fluxlit-number"),
      cell(formats[""](worker.sockets), "fluxlit-number"),
    ],
    events: (event) => [
      cell(event.url ? element("a", { href: event.url }, event.at) : event.at),
      cell(event.process),
      cell(element("span", { class: `fluxlit-${event.tone}` }, event.event)),
      cell(event.code === null ? "" : String(event.code), "fluxlit-number"),
    ],
  };
  const fill = (body, found, hosts) => {
    const columns = body.closest("table").querySelectorAll("thead th").length;
    const made = found.map((each) => {
      const row = element("tr");
      row.append(...rows[body.dataset.rows](each, hosts));
      return row;
    });
    if (made.length === 0) {
      const row = element("tr");
      row.append(element("td", { colspan: columns, class: "fluxlit-empty" }, "None."));
      made.push(row);
    }
    body.replaceChildren(...made);
  };

  const show = (data) => {
    for (const figure of page.querySelectorAll("[data-chart]")) draw(figure, data.charts[figure.dataset.chart] || []);
    const hosts = new Set(data.workers.map((worker) => worker.host)).size;
    for (const body of page.querySelectorAll("[data-rows]")) fill(body, data[body.dataset.rows] || [], hosts);
    status.classList.remove("fluxlit-bad");
    status.textContent = data.workers.length > 0
      ? `As of ${data.at}; refreshed every ${interval / 1000} s.`
      : "No gateway worker reports. They do so a few seconds after fluxlit_run has started, unless FLUXLIT_LIVE_SESSIONS_INTERVAL_S is 0.";
  };

  const refresh = async () => {
    if (document.hidden) return;
    try {
      const response = await fetch(page.dataset.url, { headers: { Accept: "application/json" }, redirect: "error" });
      if (!response.ok) throw new Error(`the server answered ${response.status}`);
      show(await response.json());
    } catch (error) {
      status.classList.add("fluxlit-bad");
      status.textContent = `Not refreshed: ${error.message}. What is shown may be old.`;
    }
  };
  const repeat = async () => {
    await refresh();
    setTimeout(repeat, interval);
  };
  document.addEventListener("visibilitychange", refresh);
  repeat();
})();
