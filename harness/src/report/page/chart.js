"use strict";
// The timeline: rows over one axis of time, drawn on a canvas. Times are microseconds since the run began.
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const ops = decode($("ops").textContent, data.count);
  const canvas = $("canvas"), tip = $("tip"), ctx = canvas.getContext("2d");
  const ENDINGS = ["ok", "failed", "unknown"];
  const GAP = 10, AXIS = 20, RATE = 84, LATENCY = 92, LABEL = 13, NODE = 52, LANE_MAX = 14, LANE_MIN = 5, LANES_SHOWN = 64;
  let left = 64, width = 800, from = 0, to = data.end, rows = [], columns = [], colours = {}, drag = null;
  const chosen = document.createElement("div");
  chosen.id = "chosen"; chosen.hidden = true; canvas.after(chosen);
  const hidden = new Set();
  const kinds = [...new Set(data.faults.map((fault) => fault.kind))].sort();
  const involved = new Set((data.violation ? data.violation.operations : []).map((operation) => operation[1]));
  const acting = new Map((data.violation ? data.violation.operations : []).map((operation) => [operation[1], operation[4]]));
  let folded = involved.size > 0 || data.lanes.length > LANES_SHOWN;

  // The invocations are in order; completions are looked for up to the longest operation before the left edge.
  function decode(text, count) {
    const raw = atob(text), begin = new Float64Array(count), micros = new Float64Array(count);
    const lane = new Uint32Array(count), what = new Uint8Array(count), node = new Uint8Array(count), ending = new Uint8Array(count);
    let at = 0, now = 0, longest = 0, open = [];
    const number = () => {
      let value = 0, scale = 1, byte;
      do { byte = raw.charCodeAt(at++); value += (byte & 127) * scale; scale *= 128 } while (byte > 127);
      return value;
    };
    for (let i = 0; i < count; i++) {
      begin[i] = now += number();
      const took = number();
      micros[i] = took - 1;
      if (took === 0) open.push(i); else if (took > longest) longest = took;
      lane[i] = number(); what[i] = number();
      const both = number();
      node[i] = both >> 2; ending[i] = both & 3;
    }
    return { count, begin, micros, lane, what, node, ending, longest, open };
  }

  // The operations of each lane, in order, and the longest of each.
  const lanes = data.lanes.map(() => ({ at: [], longest: 0 }));
  for (let i = 0; i < ops.count; i++) {
    const own = lanes[ops.lane[i]];
    own.at.push(i);
    if (ops.micros[i] > own.longest) own.longest = ops.micros[i];
  }
  const mostCommitted = Math.max(1, ...data.nodes.flatMap((node) => node.samples.filter((_, at) => at % 5 === 3)));

  const lower = (array, value) => {
    let low = 0, high = array.length;
    while (low < high) { const mid = (low + high) >> 1; if (array[mid] < value) low = mid + 1; else high = mid }
    return low;
  };
  const x = (time) => left + (time - from) / (to - from) * width;
  const timeAt = (px) => from + Math.min(Math.max((px - left) / width, 0), 1) * (to - from);
  const each = (visit) => {
    const end = lower(ops.begin, to);
    for (let i = lower(ops.begin, from - ops.longest); i < end; i++) if (ops.micros[i] >= 0 && ops.begin[i] + ops.micros[i] >= from) visit(i);
    for (const i of ops.open) if (ops.begin[i] < to) visit(i);
  };
  const eachOf = (row, visit) => {
    for (const lane of row.lanes) {
      const { at, longest } = lanes[lane], first = from - longest;
      let low = 0, high = at.length;
      while (low < high) { const mid = (low + high) >> 1; if (ops.begin[at[mid]] < first) low = mid + 1; else high = mid }
      for (let k = low; k < at.length && ops.begin[at[k]] < to; k++) if (ops.micros[at[k]] >= 0 && ops.begin[at[k]] + ops.micros[at[k]] >= from) visit(at[k]);
    }
    for (const i of ops.open) if (ops.begin[i] < to && row.lanes.includes(ops.lane[i])) visit(i);
  };
  const number = (value) => Math.round(value).toLocaleString("en");
  const stamp = (us) => (us / 1e6).toFixed(to - from < 2e5 ? 6 : to - from < 2e7 ? 3 : 1) + " s";
  const took = (us) => us < 1e3 ? Math.round(us) + " µs" : us < 1e6 ? (us / 1e3).toFixed(us < 1e4 ? 2 : 0) + " ms" : (us / 1e6).toFixed(2) + " s";

  // ---- figures of the columns
  const BUCKETS = 384, bucket = (us) => Math.min(BUCKETS - 1, us < 1 ? 0 : Math.floor(Math.log2(us) * 12));
  function aggregate() {
    const count = Math.max(20, Math.min(400, Math.floor(width / 3))), span = (to - from) / count;
    const buckets = new Uint32Array(count * BUCKETS), ended = new Uint32Array(count * 3), longest = new Float64Array(count);
    each((i) => {
      const micros = ops.micros[i], at = Math.floor((ops.begin[i] + micros - from) / span);
      if (micros < 0 || at < 0 || at >= count) return;
      ended[at * 3 + ops.ending[i]]++;
      if (ops.ending[i] === 0) {
        buckets[at * BUCKETS + bucket(micros)]++;
        if (micros > longest[at]) longest[at] = micros;
      }
    });
    columns = Array.from({ length: count }, (_, at) => ({ ok: ended[at * 3], failed: ended[at * 3 + 1], unknown: ended[at * 3 + 2], max: longest[at] }));
    columns.forEach((column, at) => {
      const rank = (part) => {
        let left = Math.ceil(column.ok * part), b = -1;
        while (left > 0) left -= buckets[at * BUCKETS + ++b];
        return Math.min(2 ** ((b + .5) / 12), column.max);
      };
      if (column.ok > 0) { column.p50 = rank(.5); column.p99 = rank(.99) }
    });
    return span;
  }

  // ---- rows
  function layout() {
    rows = [];
    let y = AXIS;
    const add = (row) => { rows.push({ ...row, y }); y += row.h + (row.gap ?? GAP) };
    add({ type: "rate", h: RATE, label: "ops/s" });
    add({ type: "latency", h: LATENCY, label: "latency" });
    const named = new Set(data.nodes.map((node) => node.name));
    const loose = data.faults.some((fault) => !fault.nodes.some((node) => named.has("n" + node)));
    if (loose) add({ type: "faults", h: 12, label: "faults" });
    data.nodes.forEach((node, at) => add({ type: "node", h: node.samples.length ? NODE : 12, label: node.name, node, id: at + 1 }));
    const own = data.lanes.map((_, lane) => lane).filter((lane) => involved.has(lane) || !folded && (involved.size || lane < LANES_SHOWN));
    own.sort((a, b) => involved.has(b) - involved.has(a) || a - b);
    const h = Math.max(LANE_MIN, Math.min(LANE_MAX, Math.floor(420 / Math.max(own.length, 1))));
    own.forEach((lane) => add({ type: "lane", h: involved.has(lane) ? 18 : h, gap: involved.has(lane) ? 4 : 1, label: acting.get(lane) || data.lanes[lane].split(" ")[0], lanes: [lane] }));
    const rest = data.lanes.map((_, lane) => lane).filter((lane) => !own.includes(lane));
    if (rest.length) { y += 4; add({ type: "lane", h: 22, label: rest.length + (own.length ? " others" : " clients"), lanes: rest }) }
    return y + 4;
  }

  function palette() {
    const style = getComputedStyle(document.body), probe = document.createElement("i");
    document.body.append(probe);
    const colour = (name) => { probe.style.color = `var(--${name})`; return getComputedStyle(probe).color };
    for (const name of ["text", "dim", "line", "card", "soft", "ok", "bad", "doubt", "link", "op", "p50", "p99", "max", "lead"]) colours[name] = colour(name);
    kinds.forEach((kind, at) => { colours["kind " + kind] = colour("kind" + at % 8) });
    probe.remove();
    colours.font = "11px " + style.fontFamily;
  }

  function draw() {
    left = canvas.parentElement.clientWidth < 520 ? 52 : 64;
    width = Math.max(120, canvas.parentElement.clientWidth - left - 10);
    const height = layout(), scale = devicePixelRatio || 1;
    canvas.width = (left + width + 10) * scale; canvas.height = height * scale;
    canvas.style.height = height + "px";
    ctx.setTransform(scale, 0, 0, scale, 0, 0);
    ctx.font = colours.font; ctx.textBaseline = "middle";
    const span = aggregate();
    axis(height);
    for (const row of rows) {
      ctx.fillStyle = colours.dim; ctx.textAlign = "right";
      if (row.h >= 9) ctx.fillText(row.label.slice(0, left < 60 ? 8 : 10), left - 6, row.y + Math.min(row.h / 2, 8));
      ctx.textAlign = "left";
      ctx.save(); ctx.beginPath(); ctx.rect(left, row.y - 2, width, row.h + 4); ctx.clip();
      paint[row.type](row, span);
      ctx.restore();
    }
    marks(height);
    say();
  }

  function step(target) {
    const raw = (to - from) / target, power = 10 ** Math.floor(Math.log10(raw));
    return [1, 2, 5, 10].map((digit) => digit * power).find((size) => size >= raw);
  }

  function axis(height) {
    const size = step(Math.max(2, width / 110));
    for (let at = Math.ceil(from / size) * size; at <= to; at += size) {
      ctx.fillStyle = colours.line; ctx.fillRect(Math.round(x(at)), AXIS - 4, 1, height);
      const digits = Math.max(0, -Math.floor(Math.log10(size / 1e6) + 1e-9)), label = (at / 1e6).toFixed(digits) + " s";
      const w = ctx.measureText(label).width;
      ctx.fillStyle = colours.dim; ctx.fillText(label, Math.min(Math.max(x(at) - w / 2, left), left + width - w), 8);
    }
  }

  const visible = (fault) => !hidden.has(fault.kind) && fault.from <= to && (fault.to ?? data.end) >= from;
  function shade(row) {
    for (const fault of data.faults) if (visible(fault)) {
      ctx.globalAlpha = .13; ctx.fillStyle = colours["kind " + fault.kind];
      const a = x(fault.from); ctx.fillRect(a, row.y, Math.max(1.5, x(fault.to ?? data.end) - a), row.h);
    }
    ctx.globalAlpha = 1;
  }
  function strips(row, faults, h) {
    const ends = [];
    for (const fault of faults) if (visible(fault)) {
      const a = x(fault.from), b = Math.max(a + 2, x(fault.to ?? data.end));
      let lane = ends.findIndex((end) => end <= a); if (lane < 0) lane = ends.length;
      ends[lane] = b; if (lane > 2) continue;
      ctx.fillStyle = colours["kind " + fault.kind]; ctx.globalAlpha = fault.took ? .9 : .35;
      ctx.fillRect(a, row.y + lane * (h / 3), b - a, ends.length > 1 || lane ? h / 3 - .5 : h);
    }
    ctx.globalAlpha = 1;
  }
  const plot = (row, points, colour, dash) => {
    ctx.strokeStyle = colour; ctx.lineWidth = 1.4; ctx.setLineDash(dash || []); ctx.beginPath();
    let is_on = false;
    for (const [px, py] of points) { if (py === null) { is_on = false; continue } is_on ? ctx.lineTo(px, py) : ctx.moveTo(px, py); is_on = true }
    ctx.stroke(); ctx.setLineDash([]);
    // A figure without a neighbour is a dot.
    ctx.fillStyle = colour;
    points.forEach(([px, py], at) => { if (py !== null && !points[at - 1]?.[1] && !points[at + 1]?.[1]) ctx.fillRect(px - 1.5, py - 1.5, 3, 3) });
  };

  // Text over lines and bars.
  const caption = (text, at, y, colour) => {
    ctx.globalAlpha = .75; ctx.fillStyle = colours.card; ctx.fillRect(at - 2, y - 5.5, ctx.measureText(text).width + 4, 10); ctx.globalAlpha = 1;
    ctx.fillStyle = colour; ctx.fillText(text, at, y);
  };

  const paint = {
    rate(row, span) {
      shade(row);
      const most = Math.max(1, ...columns.map((column) => column.ok + column.failed + column.unknown)), w = width / columns.length;
      columns.forEach((column, at) => {
        let base = row.y + row.h;
        for (const [name, colour] of [["ok", colours.op], ["failed", colours.doubt], ["unknown", colours.bad]]) {
          const h = column[name] / most * (row.h - 12);
          ctx.fillStyle = colour; ctx.fillRect(left + at * w, base - h, Math.max(w - .4, .6), h); base -= h;
        }
      });
      ctx.fillStyle = colours.dim; ctx.fillText(number(most / span * 1e6) + " /s", left + 4, row.y + 6);
      ctx.fillStyle = colours.line; ctx.fillRect(left, row.y + row.h, width, 1);
    },
    latency(row) {
      shade(row);
      const seen = columns.filter((column) => column.ok);
      if (!seen.length) return;
      const low = Math.log10(Math.max(1, Math.min(...seen.map((column) => column.p50)))), high = Math.log10(Math.max(10, ...seen.map((column) => column.max)));
      const y = (us) => row.y + row.h - (Math.log10(Math.max(us, 1)) - low) / Math.max(high - low, .3) * (row.h - 10);
      for (let power = Math.ceil(low); power <= high; power++) {
        ctx.fillStyle = colours.line; ctx.fillRect(left, y(10 ** power), width, 1);
      }
      const middle = (at) => left + (at + .5) * width / columns.length;
      for (const name of ["max", "p99", "p50"]) plot(row, columns.map((column, at) => [middle(at), column.ok ? y(column[name]) : null]), colours[name], name === "max" ? [2, 3] : []);
      let above = Infinity;
      for (let power = Math.ceil(low); power <= high; power++) {
        const at = Math.max(row.y + 5, y(10 ** power) - 6);
        if (above - at >= LABEL) { caption(took(10 ** power), left + 4, at, colours.dim); above = at }
      }
    },
    faults(row) {
      const named = new Set(data.nodes.map((node) => node.name));
      strips(row, data.faults.filter((fault) => !fault.nodes.some((node) => named.has("n" + node))), row.h);
    },
    node(row) {
      ctx.fillStyle = colours.soft; ctx.fillRect(left, row.y, width, row.h);
      strips(row, data.faults.filter((fault) => fault.nodes.includes(row.id)), 10);
      const s = row.node.samples, bar = row.y + 12, top = row.y + 26, h = row.h - 28;
      const commit = [], applied = [];
      let shown = -1, room = -99;
      const labels = [];
      for (let i = 0; i < s.length; i += 5) {
        const a = x(s[i]), b = i + 5 < s.length ? x(s[i + 5]) : Math.min(x(data.end), a + 6);
        if (b < left || a > left + width) continue;
        if (s[i + 1] === 2) { ctx.fillStyle = colours.lead; ctx.fillRect(a, bar, b - a + .5, 10) }
        if (s[i + 1] === 0) { ctx.globalAlpha = .5; ctx.fillStyle = colours.dim; ctx.fillRect(a, bar + 4, b - a + .5, 2); ctx.globalAlpha = 1 }
        if (s[i + 1] && s[i + 2] !== shown) {
          shown = s[i + 2];
          // Of terms that follow each other closely the last has a label.
          if (Math.max(a, left) <= room) labels[labels.length - 1][0] = "term " + shown; else { const text = "term " + shown; labels.push([text, Math.max(a, left) + 3]); room = Math.max(a, left) + ctx.measureText(text).width + 8 }
        }
        const y = (value) => s[i + 1] ? top + h - value / mostCommitted * h : null;
        commit.push([a, y(s[i + 3])]); applied.push([a, y(s[i + 4])]);
      }
      for (const [text, at] of labels) {
        caption(text, at, bar + 5.5, colours.text);
      }
      plot(row, commit, colours.p50); plot(row, applied, colours.p99, [3, 3]);
    },
    lane(row) {
      const px = Math.ceil(width), grid = new Uint8Array(px + 1), is_many = row.lanes.length > 1;
      const fills = [colours.op, colours.doubt, colours.bad], wide = [];
      eachOf(row, (i) => {
        const a = Math.max(0, Math.floor(x(ops.begin[i]) - left));
        const b = Math.min(px, x(ops.micros[i] < 0 ? data.end : ops.begin[i] + ops.micros[i]) - left);
        if (b - a >= 3 && !is_many) wide.push(i);
        else for (let p = a; p <= b; p++) if (grid[p] <= ops.ending[i]) grid[p] = ops.ending[i] + 1;
      });
      for (let p = 0; p < px;) {
        let q = p + 1; while (q < px && grid[q] === grid[p]) q++;
        if (grid[p]) { ctx.fillStyle = fills[grid[p] - 1]; ctx.globalAlpha = is_many ? .55 : .8; ctx.fillRect(left + p, row.y, q - p, row.h) }
        p = q;
      }
      for (const i of wide) {
        const a = Math.max(left, x(ops.begin[i])), b = x(ops.micros[i] < 0 ? data.end : ops.begin[i] + ops.micros[i]);
        ctx.fillStyle = fills[ops.ending[i]]; ctx.globalAlpha = ops.ending[i] ? .55 : .8;
        ctx.fillRect(a, row.y, Math.max(1, b - a - .6), row.h);
      }
      ctx.globalAlpha = 1;
    },
  };

  function marks(height) {
    if (!data.violation) return;
    const { from: begin, to: end, operations } = data.violation, a = x(begin), b = Math.max(a + 2, x(end));
    if (b >= left && a <= left + width) {
      ctx.globalAlpha = .16; ctx.fillStyle = colours.bad; ctx.fillRect(Math.max(a, left), AXIS, Math.min(b, left + width) - Math.max(a, left), height - AXIS); ctx.globalAlpha = 1;
      ctx.fillRect(Math.max(a, left) - .5, AXIS - 6, 1.5, height);
    }
    for (const [letter, lane, called, what] of operations) {
      const row = rows.find((row) => row.type === "lane" && row.lanes.length === 1 && row.lanes[0] === lane), at = x(called);
      if (!row || at < left - 20 || at > left + width) continue;
      ctx.font = "bold 12px " + colours.font.slice(5);
      const text = to - from < 20 * (end - begin + 1) ? `${letter}: ${what}` : letter, w = ctx.measureText(text).width + 8, px = Math.min(Math.max(at, left), left + width - w);
      ctx.fillStyle = colours.card; ctx.fillRect(px, row.y + 1, w, row.h - 2);
      ctx.strokeStyle = colours.bad; ctx.lineWidth = 1.5; ctx.strokeRect(px, row.y + 1, w, row.h - 2);
      ctx.fillStyle = colours.text; ctx.fillText(text, px + 4, row.y + row.h / 2 + .5);
      ctx.font = colours.font;
    }
  }

  function say() {
    const sum = (name) => columns.reduce((sum, column) => sum + column[name], 0);
    const inside = data.faults.filter(visible), names = inside.slice(0, 4).map((fault) => fault.name);
    const more = inside.length > 4 ? ` and ${inside.length - 4} more` : "";
    $("shown").textContent = `${stamp(from)} to ${stamp(to)}: ${number(sum("ok"))} operations ok, ${number(sum("failed"))} failed, ${number(sum("unknown"))} unknown; faults: ${names.join(", ") || "none"}${more}.`;
  }

  // ---- what is under the pointer
  function under(px, py) {
    const row = rows.find((row) => py >= row.y - 1 && py <= row.y + row.h + 1), time = timeAt(px);
    if (!row || px < left) return "";
    const lines = [stamp(time)];
    const faults = data.faults.filter((fault) => visible(fault) && x(fault.from) <= px + 2 && x(fault.to ?? data.end) >= px - 2 && (row.type !== "node" || fault.nodes.includes(row.id)));
    if (row.type === "rate" || row.type === "latency") {
      const column = columns[Math.min(columns.length - 1, Math.floor((px - left) / width * columns.length))], rate = columns.length / (to - from) * 1e6;
      lines.push(`${number(column.ok * rate)} ok/s, ${number(column.failed * rate)} failed/s, ${number(column.unknown * rate)} unknown/s`);
      if (column.ok) lines.push(`p50 ${took(column.p50)}, p99 ${took(column.p99)}, max ${took(column.max)}`);
    } else if (row.type === "node") {
      const s = row.node.samples; let i = 0;
      while (i + 5 < s.length && s[i + 5] <= time) i += 5;
      if (s.length) lines.push(row.label + (s[i + 1] ? `${s[i + 1] === 2 ? " leads" : " does not lead"}, term ${s[i + 2]}, commit index ${number(s[i + 3])}, applied ${number(s[i + 4])}` : " gave no answer"));
    } else if (row.type === "lane") {
      const near = (to - from) / width * 3, found = [];
      eachOf(row, (i) => { if (found.length < 4 && ops.begin[i] - near <= time && (ops.micros[i] < 0 || ops.begin[i] + ops.micros[i] + near >= time)) found.push(i) });
      if (row.lanes.length === 1) lines.push(data.lanes[row.lanes[0]]);
      for (const i of found) lines.push(`${data.functions[ops.what[i]]} at ${data.asked[ops.node[i]] || "?"}: ${ENDINGS[ops.ending[i]]}${ops.micros[i] < 0 ? ", no end" : " after " + took(ops.micros[i])}`);
    }
    for (const fault of faults.slice(0, 4)) lines.push(`${fault.name}: ${fault.effect}`);
    return lines.join("\n");
  }

  // ---- moving
  function show(a, b) {
    const span = Math.min(Math.max(b - a, 50), data.end);
    from = Math.min(Math.max(a, 0), data.end - span); to = from + span;
    schedule();
  }
  let waiting = false;
  function schedule() { if (!waiting) { waiting = true; requestAnimationFrame(() => { waiting = false; draw() }) } }
  const all = () => show(0, data.end);
  const zoom = (factor, at = (from + to) / 2) => show(at - (at - from) * factor, at + (to - at) * factor);
  const pan = (part) => { const by = (to - from) * part; show(from + by, to + by) };
  function violation() {
    const { from: a, to: b } = data.violation, margin = Math.max((b - a) * .35, 5000);
    if (involved.size) folded = true;
    press(); show(a - margin, b + margin);
  }
  function press() { const fold = $("fold"); if (fold) { fold.setAttribute("aria-pressed", folded); fold.textContent = folded ? "Show all clients" : "Fold clients" } }
  const on = (id, act) => { const button = $(id); if (button) button.addEventListener("click", act) };
  on("all", all); on("closer", () => zoom(.5)); on("wider", () => zoom(2)); on("earlier", () => pan(-.5)); on("later", () => pan(.5));
  on("to-violation", violation); on("fold", () => { folded = !folded; press(); schedule() });
  canvas.addEventListener("keydown", (event) => {
    const act = { ArrowLeft: () => pan(-.2), ArrowRight: () => pan(.2), "+": () => zoom(.5), "=": () => zoom(.5), "-": () => zoom(2), Home: all }[event.key];
    if (act && !event.ctrlKey && !event.metaKey) { event.preventDefault(); act() }
  });
  canvas.addEventListener("wheel", (event) => { if (event.ctrlKey) { event.preventDefault(); zoom(event.deltaY > 0 ? 1.25 : .8, timeAt(event.offsetX)) } }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => { if (event.pointerType !== "touch") { drag = event.offsetX; canvas.setPointerCapture(event.pointerId) } });
  canvas.addEventListener("pointermove", (event) => {
    chosen.hidden = drag === null;
    if (drag !== null) { chosen.style.left = Math.min(drag, event.offsetX) + "px"; chosen.style.width = Math.abs(event.offsetX - drag) + "px" }
    const text = under(event.offsetX, event.offsetY);
    tip.hidden = !text; tip.textContent = text;
    tip.style.left = Math.max(0, Math.min(event.offsetX + 14, left + width - tip.offsetWidth)) + "px"; tip.style.top = event.offsetY + 16 + "px";
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag !== null && Math.abs(event.offsetX - drag) > 4) show(timeAt(Math.min(drag, event.offsetX)), timeAt(Math.max(drag, event.offsetX)));
    drag = null;
    chosen.hidden = true;
  });
  canvas.addEventListener("pointerleave", () => { tip.hidden = true });
  canvas.addEventListener("dblclick", all);
  document.addEventListener("theme", () => { palette(); schedule() });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { palette(); schedule() });
  new ResizeObserver(schedule).observe($("plot"));
  const jump = $("jump"); if (jump && data.violation) jump.addEventListener("click", violation);

  // ---- the legend: lines, and a button a kind of fault that hides it
  const legend = $("legend"), entry = (tag, name, label) => {
    const item = document.createElement(tag), swatch = document.createElement("i");
    swatch.style.background = `var(--${name})`; item.append(swatch, label); legend.append(item);
    return item;
  };
  [["op", "ok"], ["doubt", "failed"], ["bad", "unknown"], ["p50", "p50, commit"], ["p99", "p99, applied"], ["max", "max"], ["lead", "leads"]].forEach(([name, label]) => entry("span", name, label));
  kinds.forEach((kind, at) => {
    const button = entry("button", "kind" + at % 8, kind);
    button.type = "button"; button.setAttribute("aria-pressed", "true"); button.title = "Show or hide this kind of fault";
    button.addEventListener("click", () => { hidden.has(kind) ? hidden.delete(kind) : hidden.add(kind); button.setAttribute("aria-pressed", String(!hidden.has(kind))); schedule() });
  });

  $("charts").hidden = false;
  palette(); press(); draw();
  document.documentElement.dataset.ready = "yes";
})();
