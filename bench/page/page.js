// SPDX-License-Identifier: Apache-2.0
"use strict";
// Draws the page from the JSON in #data. Every plot is SVG made here; nothing is loaded.
const D = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const color = (m) => `var(--${m})`;
const methods = Object.keys(D.methods);
const others = methods.filter((m) => m !== "native");
const best = others[0]; // ours that do uses by default comes first
const ours = others.filter((m) => ["gate", "notify", "ptrace"].includes(m));

function html(tag, attributes = {}, ...inside) {
	const e = document.createElement(tag);
	for (const [k, v] of Object.entries(attributes)) k.startsWith("on") ? e.addEventListener(k.slice(2), v) : e.setAttribute(k, v);
	e.append(...inside);
	return e;
}
function svg(tag, attributes = {}, ...inside) {
	const e = document.createElementNS("http://www.w3.org/2000/svg", tag);
	for (const [k, v] of Object.entries(attributes)) e.setAttribute(k, v);
	e.append(...inside);
	return e;
}
const text = (x, y, s, attributes = {}) => svg("text", { x, y, ...attributes }, s);
const line = (x1, y1, x2, y2, c) => svg("line", { x1, y1, x2, y2, class: c });
// One unit of a plot is one pixel, so that text is as large on a phone as it is here; where there is little room a row's name
// and figures stand above its bars.
const room = () => Math.min(Math.max($("programs").clientWidth - (innerWidth <= 700 ? 30 : 50), 280), 1030);
const narrow = () => room() < 640;
const redraws = [];

// ---- figures in words ----
function ns(v) {
	if (v < 1000) return `${v < 10 ? v.toFixed(1) : Math.round(v)} ns`;
	if (v < 1e6) return `${digits(v / 1e3)} µs`;
	return `${digits(v / 1e6)} ms`;
}
const digits = (v) => (v < 10 ? v.toFixed(2) : v < 100 ? v.toFixed(1) : Math.round(v).toLocaleString("en"));
const times = (r) => `${r < 0.095 ? r.toFixed(3) : r < 9.95 ? r.toFixed(2) : r < 99.5 ? r.toFixed(1) : Math.round(r)}×`;
const percent = (s) => `±${Math.round(s * 100)} %`;
const number = (v) => Math.round(v).toLocaleString("en");

// ---- the tip ----
function tip(event, title, rows) {
	const t = $("tip");
	t.replaceChildren(html("b", {}, title), html("table", {}, ...rows.map((r) => html("tr", {}, ...r.map((c) => html("td", {}, c))))));
	t.style.display = "block";
	const x = Math.min(event.clientX + 16, innerWidth - t.offsetWidth - 8);
	const below = event.clientY + 18 + t.offsetHeight < innerHeight;
	t.style.left = `${Math.max(8, x)}px`;
	t.style.top = `${below ? event.clientY + 18 : event.clientY - t.offsetHeight - 12}px`;
}
const noTip = () => { $("tip").style.display = "none"; };
function tipped(e, title, rows) {
	e.addEventListener("mousemove", (ev) => tip(ev, title, rows()));
	e.addEventListener("mouseleave", noTip);
	return e;
}

// ---- controls ----
function legend(list, shown, redraw) {
	return html("div", { class: "legend" }, ...list.map((m) => html("button", {
		class: "chip", type: "button", "aria-pressed": shown.has(m), title: D.methods[m],
		onclick: (ev) => {
			shown.has(m) ? shown.delete(m) : shown.add(m);
			ev.currentTarget.setAttribute("aria-pressed", shown.has(m));
			redraw();
		} }, html("i", { style: `background:${color(m)}` }), m)));
}
function segments(choices, chosen, choose) {
	const box = html("div", { class: "seg" });
	for (const [value, label] of choices)
		box.append(html("button", { type: "button", "aria-pressed": value === chosen, onclick: (ev) => {
			for (const b of box.children) b.setAttribute("aria-pressed", b === ev.currentTarget);
			choose(value);
		} }, label));
	return box;
}
function keys(withAim) {
	const box = html("div", { class: "bar", style: "margin:0" });
	const aim = svg("svg", { width: 10, height: 14, style: "min-width:0;width:10px" }, line(5, 1, 5, 13, "aim"));
	const gv = svg("svg", { width: 14, height: 14, style: "min-width:0;width:14px" }, diamond(7, 7, 4.6));
	if (withAim) box.append(html("span", { class: "key" }, aim, "aim"));
	box.append(html("span", { class: "key" }, gv, "gVisor, not of this run"));
	return box;
}
const diamond = (x, y, r) => svg("path", { class: "gv", d: `M${x},${y - r}L${x + r},${y}L${x},${y + r}L${x - r},${y}Z` });

// ---- bars of ratios on a logarithmic axis, from 1 to both sides ----
function ratioBars(rows, shown, o) {
	const list = others.filter((m) => shown.has(m));
	const H = list.length > 5 ? 5 : list.length > 3 ? 6 : 8, gap = 1, pad = 7, W = room(), slim = narrow();
	const left = slim ? 10 : o.left || 210, right = slim ? 14 : 168, above = slim ? 17 : 0;
	const all = rows.flatMap((r) => [...list.map((m) => r.cells[m]?.ratio), r.gvisor, r.aim].filter((v) => v > 0));
	let low = Math.min(0.5, ...all) / 1.15, high = Math.max(2, ...all) * 1.15;
	const x = (v) => left + (Math.log(v) - Math.log(low)) / (Math.log(high) - Math.log(low)) * (W - left - right);
	const root = svg("svg", { role: "img", "aria-label": o.label });
	const body = svg("g"), grid = svg("g");
	let y = 26;
	for (const r of rows) {
		if (r.group) {
			y += 12;
			body.append(text(0, y + 5, r.group, { class: "group" }));
			y += 16;
		}
		const bars = Math.max(list.length * (H + gap) - gap, 10), height = above + bars + pad * 2, mid = y + above + (height - above) / 2;
		const words = slim ? y + 17 : mid + 4; // where the name and the figures stand
		const g = svg("g", { class: "row" + (o.pick ? " pick" : "") + (r.name === o.on ? " on" : "") });
		g.append(svg("rect", { class: "hit", x: 0, y, width: W, height, rx: 5 }), text(8, words, r.name, slim ? { class: "halo" } : {}));
		list.forEach((m, i) => {
			const c = r.cells[m], top = y + above + pad + i * (H + gap);
			if (!c) return;
			if (!(c.ratio > 0)) return;
			const from = Math.min(x(1), x(c.ratio)), to = Math.max(x(1), x(c.ratio));
			g.append(svg("rect", { x: from, y: top, width: Math.max(to - from, 1.5), height: H, rx: 2, fill: color(m) }));
			if (c.spread > 0.005)
				g.append(line(x(c.ratio * Math.max(1 - c.spread, 0.2)), top + H / 2, x(Math.min(c.ratio * (1 + c.spread), high)), top + H / 2, "whisker"));
		});
		if (r.aim) g.append(line(x(r.aim), y + above + 3, x(r.aim), y + height - 3, "aim"));
		if (r.gvisor) g.append(diamond(x(r.gvisor), mid, 4.6));
		const first = list.find((m) => r.cells[m]);
		if (first) {
			const c = r.cells[first];
			const good = o.worst ? c.ratio <= o.worst : r.aim ? (o.more ? c.ratio >= r.aim : c.ratio <= r.aim) : null;
			g.append(text(W - 8, words, times(c.ratio), { "text-anchor": "end", style: good === null ? "" : `fill:var(--${good ? "good" : "bad"})` }),
				text(W - 66, words, c.text, { "text-anchor": "end", class: "soft" }));
		} else {
			g.append(text(W - 8, words, r.why || "failed", { "text-anchor": "end", class: "faint" }));
		}
		tipped(g, `${r.name}: ${r.what}`, () => [
			...(r.native ? [["native", r.native, ""]] : []),
			...others.filter((m) => r.cells[m]).map((m) => [m, r.cells[m].text, times(r.cells[m].ratio), percent(r.cells[m].spread)]),
			...(r.aim ? [["aim", "", times(r.aim)]] : []), ...(r.gvisor ? [["gVisor*", r.gvisorText, times(r.gvisor)]] : [])]);
		if (o.pick) g.addEventListener("click", () => o.pick(r.name));
		body.append(g);
		y += height;
	}
	// Decades first, then the fives and twos for which there is room.
	const labelled = slim ? [W - 16] : [];
	for (const k of [1, 5, 2])
		for (let e = -4; e <= 4; e++) {
			const v = Number(`${k}e${e}`);
			if (v < low || v > high) continue;
			grid.append(line(x(v), 22, x(v), y + 4, v === 1 ? "one" : "grid"));
			if (labelled.some((at) => Math.abs(at - x(v)) < 42)) continue;
			labelled.push(x(v));
			grid.append(text(x(v), 14, v === 1 ? "native" : `${v}×`, { "text-anchor": "middle", class: "soft small" }));
		}
	for (const [i, [v, label]] of (o.lines || []).entries())
		if (v < high) body.prepend(svg("line", { x1: x(v), x2: x(v), y1: 22, y2: y + 4, class: "aim", "stroke-dasharray": "3 4", "stroke-opacity": .6 }),
			text(x(v) + (i || slim ? 4 : -4), y + 16 + (i && slim ? 14 : 0), label, { class: "soft small", "text-anchor": i || slim ? "start" : "end" }));
	if (list[0]) grid.append(text(W - 8, 14, list[0], { "text-anchor": "end", class: "soft small" }));
	root.setAttribute("viewBox", `0 0 ${W} ${y + (o.lines ? (slim ? 40 : 26) : 10)}`);
	root.append(grid, body);
	return html("div", { class: "plot" }, root);
}

// ---- plain bars, one a method ----
function plainBars(title, items, format, o = {}) {
	const W = 320, H = 15, left = 92, right = 74, max = Math.max(...items.map((i) => i.value));
	const root = svg("svg", { viewBox: `0 0 ${W} ${items.length * (H + 7) + 4}`, role: "img", "aria-label": title });
	items.forEach((i, n) => {
		const y = n * (H + 7) + 2, w = Math.max(i.value / max * (W - left - right), 1.5);
		const g = svg("g", { class: "row" }, svg("rect", { class: "hit", x: 0, y: y - 3, width: W, height: H + 6, rx: 4 }),
			text(2, y + 11.5, i.name, { class: i.foreign ? "soft" : "" }));
		g.append(svg("rect", i.foreign ? { x: left, y: y + 1, width: w, height: H - 2, rx: 3, fill: "none", stroke: "var(--gvisor)", "stroke-width": 1.5, "stroke-dasharray": "4 3" }
			: { x: left, y, width: w, height: H, rx: 3, fill: color(i.name) }), text(left + w + 6, y + 11.5, format(i.value)));
		tipped(g, `${i.name}: ${title}`, () => i.foreign ? [["median", format(i.value)], ["not of this run", ""]]
			: [["median", format(i.value), percent(i.spread)], ["least, most", `${format(i.min)}, ${format(i.max)}`]]);
		root.append(g);
	});
	return html("div", {}, html("h3", {}, title), root);
}

function section(id, title, about, ...inside) {
	const s = $(id);
	s.className = "card";
	s.replaceChildren(html("h2", {}, title), html("p", { class: "about" }, about), ...inside);
	$("nav").append(html("a", { href: `#${id}` }, title));
}
function tableOf(head, rows) {
	return html("div", { class: "scroll" }, html("table", {}, html("thead", {}, html("tr", {}, ...head.map((h) => html("th", {}, h)))),
		html("tbody", {}, ...rows.map((r) => html("tr", {}, ...r.map((c) => html("td", {}, c ?? "")))))));
}
const folded = (title, inside) => html("details", {}, html("summary", {}, title), inside);

// ---- programs ----
function drawPrograms() {
	const P = D.programs, shown = new Set(others);
	let key = "methods";
	if (!P) return;
	const row = (rate) => ([name, r]) => {
		const from = rate ? "methods" : key, known = from === "methods" && D.gvisor.programs[name], unit = (v) => (rate ? `${number(v)}/s` : `${digits(v)} ms`), cells = {};
		for (const m of others) if (r[from][m]) cells[m] = { ...r[from][m], text: unit(r[from][m].median) };
		return { name, what: r.what, cells, aim: rate && !r.control ? r.aim : 0, why: r.absent, gvisor: known ? known.value / known.native : 0,
			gvisorText: known ? unit(known.value) : "", native: r[from].native ? unit(r[from].native.median) : "" };
	};
	const entries = Object.entries(P.rows).filter(([, r]) => r.methods.native);
	const timed = () => entries.filter(([, r]) => r.unit === "ms" && r[key].native).map(row(false)), rated = entries.filter(([, r]) => r.unit !== "ms").map(row(true));
	const plot = html("div"), draw = () => plot.replaceChildren(
		timed().length ? ratioBars(timed(), shown, { label: "programs, ratio to native", left: 150, worst: P.aim_worst, lines: [[P.aim_mean, `aim in the mean ${P.aim_mean}`], [P.aim_worst, `at worst ${P.aim_worst}`]] }) : "",
		...(rated.length ? [html("h3", {}, "Rates, ratio to native: right of it is better"), ratioBars(rated, shown, { label: "rates, ratio to native", left: 150, more: true })] : []));
	const sums = others.filter((m) => P.summary[m]).map((m) => [m, P.summary[m].geometric_mean.toFixed(2), P.summary[m].whole_mean?.toFixed(2) ?? "", P.summary[m].worst.toFixed(2), P.summary[m].worst_program, P.summary[m].programs]);
	draw();
	redraws.push(draw);
	section("programs", "Programs", "Real programs, timed inside from exec to exit, or the same run from outside, the sandbox’s start and end included; median of the rounds. Whiskers are half the distance between the quartiles.",
		html("div", { class: "bar" }, segments([["methods", "inside"], ["whole", "with the sandbox’s start"]], key, (v) => { key = v; draw(); }), legend(others, shown, draw), keys(rated.length > 0)), plot,
		tableOf(["", "geometric mean", "with the start", "worst", "which", "programs"], [...sums, ["aim", P.aim_mean, "", P.aim_worst, "", ""],
			["gVisor*", D.gvisor.geometric_mean.toFixed(2), "", "", "", ""]]),
		...[["All figures", "methods"], ["All figures, with the sandbox’s start", "whole"]].map(([title, from]) =>
			folded(title, tableOf(["", "native", "±", ...others.flatMap((m) => [m, "ratio"])], entries.filter(([, r]) => r[from].native).map(([name, r]) => [name,
				...figures(r, r.unit === "ms" ? (v) => `${digits(v)} ms` : (v) => `${number(v)}/s`, from)])))));
}
function figures(r, unit, from = "methods") {
	const n = r[from].native;
	return [n ? unit(n.median) : "", n ? percent(n.spread) : "", ...others.flatMap((m) => {
		const c = r[from][m];
		return c ? [unit(c.median), c.ratio ? c.ratio.toFixed(2) : ""] : [r.failed?.[m] ? "failed" : "", ""];
	})];
}

// ---- calls, and the distribution of one ----
function drawCalls() {
	const C = D.calls;
	if (!C || !C.length) return;
	const shown = new Set(others.filter((m) => ours.includes(m) || m.startsWith("runsc"))), plot = html("div");
	if (!shown.size) others.forEach((m) => shown.add(m));
	const both = C.some((r) => r.threads === 2);
	let threads = 1, which = "median", on = (C.find((r) => r.name === "pread-4k") || C[0]).name;
	const rows = () => C.filter((r) => r.threads === threads).map((r, i, list) => {
		const known = threads === 1 ? D.gvisor.calls[r.name] : null, cells = {}, base = r.methods.native;
		for (const m of others) {
			const c = r.methods[m];
			if (c && base) cells[m] = { ratio: which === "median" ? c.median / base.median : c.min / base.min, spread: which === "median" ? c.spread : 0, text: ns(which === "median" ? c.median : c.min) };
		}
		return { name: r.name, what: r.what, cells, aim: r.aim, group: i === 0 || list[i - 1].group !== r.group ? r.group : null,
			gvisor: known ? known.ns / known.native_ns : 0, gvisorText: known ? ns(known.ns) : "", native: base ? ns(base[which]) : "" };
	});
	const draw = () => {
		plot.replaceChildren(ratioBars(rows(), shown, { label: "calls, ratio to native", left: 185, on, pick: (name) => { on = name; draw(); drawLatency(on, threads, choose); $("latency").scrollIntoView(); } }));
	};
	const choose = (name) => { on = name; draw(); drawLatency(on, threads, choose); };
	const all = folded("All figures", html("div"));
	const fill = () => all.lastChild.replaceChildren(tableOf(["", "native", "±", "p99", ...others.flatMap((m) => [m, "ratio", "p99"]), "aim"],
		C.filter((r) => r.threads === threads).map((r) => {
			const n = r.methods.native;
			return [r.name, n ? ns(n.median) : "", n ? percent(n.spread) : "", n ? ns(n.p99) : "", ...others.flatMap((m) => {
				const c = r.methods[m];
				return c ? [ns(c.median), n ? times(c.median / n.median) : "", ns(c.p99)] : [r.failed[m] ? "failed" : "", "", ""];
			}), r.aim || ""];
		})));
	section("calls", "Calls", "One call through libc, in a loop, by one thread or by two at once. On the right the first method’s time and ratio, coloured by whether it meets the aim. Click a call for its distribution.",
		html("div", { class: "bar" }, legend(others, shown, draw), keys(true),
			both ? segments([[1, "one thread"], [2, "two threads"]], 1, (v) => { threads = v; draw(); fill(); drawLatency(on, threads, choose); }) : "",
			segments([["median", "medians"], ["min", "least"]], "median", (v) => { which = v; draw(); })), plot, all);
	section("latency", "Latency", "How long single calls take, one by one, by the time stamp counter: the share of calls at each duration (heights are its square root, so that tails show). Marks are the median and the 99th percentile.");
	draw();
	fill();
	drawLatency(on, threads, choose);
	redraws.push(() => { draw(); drawLatency(on, threads, choose); });
}

function drawLatency(name, threads, choose) {
	const C = D.calls, r = C.find((c) => c.name === name && c.threads === threads) || C.find((c) => c.name === name), s = $("latency");
	const have = methods.filter((m) => r.methods[m]?.hist.length), W = room(), slim = narrow(), left = slim ? 10 : 110, right = 16;
	const H = slim ? 62 : 46, top = 24, curve = slim ? 38 : H - 4;
	const list = html("select", { "aria-label": "call", onchange: (ev) => choose(ev.target.value) },
		...C.filter((c) => c.threads === r.threads).map((c) => html("option", c.name === name ? { value: c.name, selected: "" } : { value: c.name }, `${c.name} · ${c.what}`)));
	// Buckets are [ns, share]; the far tails would squeeze the rest.
	const low = Math.min(...have.map((m) => r.methods[m].p01)) / 1.4, high = Math.max(...have.map((m) => r.methods[m].p999)) * 1.3;
	const x = (v) => left + Math.log(Math.max(v, low) / low) / Math.log(high / low) * (W - left - right);
	const root = svg("svg", { viewBox: `0 0 ${W} ${top + have.length * (H + 8) + 12}`, role: "img", "aria-label": `distribution of ${name}` });
	const labelled = [];
	for (const k of [1, 5, 2])
		for (let e = Math.floor(Math.log10(low)); e <= Math.log10(high); e++) {
			const v = k * 10 ** e;
			if (v < low * 1.02 || v > high) continue;
			root.append(line(x(v), top - 4, x(v), top + have.length * (H + 8), "grid"));
			if (x(v) > W - 20 || x(v) < 20 || labelled.some((at) => Math.abs(at - x(v)) < 46)) continue;
			labelled.push(x(v));
			root.append(text(x(v), 14, ns(v).replace(".0 ", " ").replace(".00 ", " "), { "text-anchor": "middle", class: "soft small" }));
		}
	have.forEach((m, i) => {
		const c = r.methods[m], base = top + (i + 1) * (H + 8) - 8, step = Math.log(2) / 8;
		const bins = new Map();
		for (const [v, share] of c.hist) {
			const b = Math.round(Math.log(v) / step);
			bins.set(b, (bins.get(b) || 0) + share);
		}
		const peak = Math.max(...bins.values()), from = Math.min(...bins.keys()) - 1, to = Math.max(...bins.keys()) + 1;
		let d = `M${x(Math.exp(from * step))},${base}`;
		for (let b = from; b <= to; b++) {
			const v = Math.exp(b * step);
			if (v > high) break;
			d += `L${x(v).toFixed(1)},${(base - Math.sqrt((bins.get(b) || 0) / peak) * curve).toFixed(1)}`;
			if (b === to || Math.exp((b + 1) * step) > high) d += `L${x(v).toFixed(1)},${base}`;
		}
		const g = svg("g", { class: "row" }, svg("rect", { class: "hit", x: 0, y: base - H, width: W, height: H + 4, rx: 5 }),
			text(8, slim ? base - H + 13 : base - 8, m, slim ? { class: "halo" } : {}), line(left, base, W - right, base, "grid"),
			svg("path", { d: d + "Z", fill: color(m), "fill-opacity": .28, stroke: color(m), "stroke-width": 1.6, "stroke-linejoin": "round" }));
		for (const [v, label] of [[c.p50, "p50"], [c.p99, "p99"]]) {
			if (v > high) continue;
			g.append(svg("line", { x1: x(v), x2: x(v), y1: base, y2: base - curve, stroke: color(m), "stroke-width": 1.6, "stroke-dasharray": label === "p99" ? "2 3" : "none" }));
			const before = label === "p50" || x(v) > W - 110, lower = label === "p99" && x(v) > W - 110;
			if (!slim) g.append(text(x(v) + (before ? -5 : 5), base - H + (lower ? 30 : 16), `${label} ${ns(v)}`, { class: "small soft", "text-anchor": before ? "end" : "start" }));
		}
		if (slim) g.append(text(W - 8, base - H + 13, `p50 ${ns(c.p50)} · p99 ${ns(c.p99)}`, { class: "small soft halo", "text-anchor": "end" }));
		root.append(g);
	});
	const marks = [["least batch", "min"], ["median batch", "median"], ["p50", "p50"], ["p90", "p90"], ["p99", "p99"], ["p99.9", "p999"], ["longest", "max"]];
	s.replaceChildren(...[...s.children].slice(0, 2), html("div", { class: "bar" }, list, html("span", { class: "key" }, r.threads === 1 ? "one thread" : "two threads at once")),
		html("div", { class: "plot" }, root), tableOf(["", ...marks.map(([t]) => t)], have.map((m) => [m, ...marks.map(([, k]) => ns(r.methods[m][k]))])));
}

// ---- start ----
function drawStart() {
	const S = D.start;
	if (!S) return;
	const panels = [["start_ms", "Start to exit of /bin/true, ms", digits, "start_ms"], ["starts_per_second", "Starts a second, four at a time (more is better)", number, "starts_per_second"],
		["idle_mib", "Memory of one that waits, MiB", digits, "idle_mib"], ["hundred_up_ms", "A hundred at once: until all are up, ms", number],
		["hundred_mib", "A hundred at once: memory, MiB", number], ["hundred_gone_ms", "A hundred at once: until all are gone, ms", number]];
	section("start", "Start", "What a sandbox costs before and beside its program. Memory is what its processes have, shared pages divided among those that share them.",
		html("div", { class: "bar" }, html("span", { class: "key" }, "dashed: gVisor, not of this run")),
		html("div", { class: "panels" }, ...panels.map(([key, title, format, foreign]) => {
			const items = methods.filter((m) => S[m]?.[key]).map((m) => ({ name: m, value: S[m][key].median, ...S[m][key] }));
			if (foreign && D.gvisor.start[foreign]) items.push({ name: "gVisor*", value: D.gvisor.start[foreign], foreign: true });
			return items.length ? plainBars(title, items, format) : "";
		})));
}

// ---- containers ----
function drawLifecycle() {
	const L = D.lifecycle, names = Object.keys(L || {});
	if (!names.length) return;
	const panels = [["create_ms", "create, ms"], ["start_ms", "start, ms"], ["exec_ms", "exec /bin/true, ms"], ["delete_ms", "delete --force, ms"],
		["idle_kib", "Idle: monitor, gofer and sentry, MiB"], ["all_kib", "Idle: with the program’s own processes, MiB"]];
	const scale = (key) => (key.endsWith("kib") ? 1024 : 1);
	section("lifecycle", "Containers", "What an engine waits for, each command by itself, and the memory of a container that sleeps (shared pages divided among those that share them): ours with the root a directory and an image file, beside other runtimes. The aims: no command slower than crun’s, idle under 4 MiB.",
		html("div", { class: "panels" }, ...panels.map(([key, title]) => {
			const items = names.filter((n) => L[n][key]).map((n) => ({ name: n, value: L[n][key].median / scale(key), spread: L[n][key].spread,
				min: L[n][key].min / scale(key), max: L[n][key].max / scale(key) }));
			return items.length ? plainBars(title, items, digits) : "";
		})),
		folded("All figures", tableOf(["", ...panels.slice(0, 4).flatMap(([, t]) => [t, "p90", "p99", "× crun"])], names.map((n) => [n,
			...panels.slice(0, 4).flatMap(([key]) => {
				const c = L[n][key], crun = L.crun?.[key];
				return c ? [digits(c.median), digits(c.p90), digits(c.p99), crun ? (c.median / crun.median).toFixed(2) : ""] : ["failed", "", "", ""];
			})]))));
}

// ---- dispatch ----
function drawDispatch() {
	const rows = Object.entries(D.dispatch || {}).filter(([, r]) => r.instructions || r.median_ns);
	if (!rows.length) return;
	const key = rows[0][1].instructions ? "instructions" : "median_ns", plot = html("div", { class: "plot" });
	const low = 10 ** Math.floor(Math.log10(Math.min(...rows.map(([, r]) => r[key])))), high = Math.max(...rows.map(([, r]) => r[key])) * 1.1;
	const draw = () => {
		const W = room(), slim = narrow(), left = slim ? 10 : 185, right = slim ? 14 : 190, H = 9, step = slim ? 34 : 20, top = 26;
		const x = (v) => left + Math.log(v / low) / Math.log(high / low) * (W - left - right);
		const root = svg("svg", { viewBox: `0 0 ${W} ${top + rows.length * step + 6}`, role: "img", "aria-label": "dispatch" });
		const labelled = [];
		for (const k of [1, 5, 2])
			for (let v = low * k; v < high; v *= 10) {
				root.append(line(x(v), 20, x(v), top + rows.length * step, "grid"));
				if (labelled.some((at) => Math.abs(at - x(v)) < 46)) continue;
				labelled.push(x(v));
				root.append(text(Math.max(x(v), 14), 14, number(v), { "text-anchor": "middle", class: "soft small" }));
			}
		rows.forEach(([name, r], i) => {
			const y = top + i * step, words = y + 14, mid = slim ? y + 25 : y + step / 2;
			const g = svg("g", { class: "row" }, svg("rect", { class: "hit", x: 0, y, width: W, height: step, rx: 4 }), text(8, words, name, slim ? { class: "halo" } : {}),
				line(x(low), mid, x(r[key]), mid, "one"), svg("circle", { cx: x(r[key]), cy: mid, r: H / 2, fill: color(ours[0] || "notify") }),
				text(W - 8, words, r.median_ns ? `${number(r.median_ns)} ns` : "", { "text-anchor": "end", class: "soft" }), text(W - 84, words, number(r[key]), { "text-anchor": "end" }));
			tipped(g, name, () => [["calls", String(r.calls)], ["instructions", r.instructions ? number(r.instructions) : "not counted"], ["median", ns(r.median_ns), percent(r.spread)], ["least", ns(r.min_ns)]]);
			root.append(g);
		});
		plot.replaceChildren(root);
	};
	draw();
	redraws.push(draw);
	section("dispatch", "Dispatch", key === "instructions" ? "The sentry’s path from an event to its reply by itself, without a platform: instructions, which are the same in every run, and the time they took. Some rows are several calls."
		: "The sentry’s path from an event to its reply by itself, without a platform: nanoseconds. Some rows are several calls.", plot);
}

// ---- the head and the foot ----
function tile(name, value, unit, more, good) {
	return html("div", { class: "tile" }, html("div", { class: "name" }, name),
		html("div", { class: "value" + (good === undefined ? "" : good ? " met" : " unmet") }, value, html("small", {}, unit)), html("div", { class: "more" }, more));
}
function drawTiles() {
	const box = $("tiles"), sum = D.programs?.summary[best], start = D.start?.[best];
	if (sum) {
		box.append(tile("Programs, in the mean", sum.geometric_mean.toFixed(2), "×", `aim ${D.programs.aim_mean}; gVisor* ${D.gvisor.geometric_mean}`, sum.geometric_mean <= D.programs.aim_mean),
			tile("The worst program", sum.worst.toFixed(2), "×", `${sum.worst_program}; aim ${D.programs.aim_worst}`, sum.worst <= D.programs.aim_worst));
	}
	const aimed = (D.calls || []).filter((r) => r.aim && r.threads === 1 && r.methods[best] && r.methods.native);
	if (aimed.length) {
		const met = aimed.filter((r) => r.methods[best].median / r.methods.native.median <= r.aim).length;
		box.append(tile("Calls that meet their aim", String(met), ` of ${aimed.length}`, `by ${best}, one thread`, met === aimed.length));
	}
	if (start?.start_ms) box.append(tile("Start to exit", digits(start.start_ms.median), " ms", `native ${digits(D.start.native.start_ms.median)}; gVisor* ${D.gvisor.start.start_ms}`));
	if (start?.idle_mib) box.append(tile("An idle sandbox", digits(start.idle_mib.median), " MiB", `gVisor* ${D.gvisor.start.idle_mib}`));
}
function drawNotes() {
	const absent = Object.entries(D.absent).map(([m, why]) => [html("dt", {}, m), html("dd", {}, why)]).flat();
	section("notes", "How to read it", "A ratio travels between machines, and between hours of one machine, far better than a time does: quote it with its run. Controls (clock_gettime, page-fault, openssl-speed) never or hardly reach a sandbox’s kernel: where their ratios are far from 1, the run was disturbed and the others are no better.",
		html("h3", {}, "Methods"), html("dl", {}, ...methods.map((m) => [html("dt", {}, m), html("dd", {}, D.methods[m] + (D.versions[m] ? ` (${D.versions[m]})` : ""))]).flat()),
		...(absent.length ? [html("h3", {}, "Left out"), html("dl", {}, ...absent)] : []),
		html("h3", {}, "gVisor*"), html("p", { class: "about" }, D.gvisor.source));
}
const M = D.machine;
$("machine").textContent = `${M.cpus} CPUs, ${M.cpu}, ${number(M.memory_mib)} MiB, Linux ${M.kernel} · ${M.when.replace("T", " ").replace("Z", " UTC")} · ` +
	`load ${M.load_before.toFixed(1)} before, ${M.load_after.toFixed(1)} after · rounds: ${Object.entries(D.rounds || {}).map(([p, n]) => `${n} of ${p}`).join(", ") || "none"} · ${M.seconds} s${D.quick ? " · quick" : ""}${M.commit ? ` · ${M.commit}` : ""}`;
drawTiles();
drawPrograms();
drawCalls();
drawStart();
drawLifecycle();
drawDispatch();
drawNotes();
// Drawn again where there is another width; what was chosen stays.
let drawn = room();
addEventListener("resize", () => {
	if (room() === drawn) return;
	drawn = room();
	for (const draw of redraws) draw();
});
