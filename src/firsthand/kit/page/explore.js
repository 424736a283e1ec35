/* Moving figures: reads the JSON inside each figure.fh-explore, adds the controls, draws the chosen state.
   No library, no request. Coordinates in the data are thousandths of a panel. */
(function () {
  "use strict";
  var NS = "http://www.w3.org/2000/svg", U = 1000;
  var CSS = ".fh-explore{margin:1.5rem 0;padding:1rem;border:1px solid var(--pst-color-border,#c9ccd1);border-radius:.5rem}" +
    ".fh-explore .fh-panels{display:flex;flex-wrap:wrap;gap:.5rem 1.2rem;align-items:flex-start;justify-content:center}" +
    ".fh-explore .fh-panel{flex:1 1 17rem;max-width:34rem;min-width:0}.fh-explore svg{width:100%;height:auto;overflow:visible;display:block}" +
    ".fh-explore .fh-title{font-weight:600;margin:0 0 .3rem;min-height:1.5em;line-height:1.4}" +
    ".fh-explore .fh-legend{font-size:.85rem;display:flex;flex-wrap:wrap;gap:.1rem 1rem;margin:.3rem 0 0}" +
    ".fh-explore .fh-legend i{display:inline-block;width:.8em;height:.8em;border-radius:50%;margin-right:.35em}" +
    ".fh-explore .fh-controls{display:flex;flex-wrap:wrap;gap:.4rem 1.6rem;margin:0 0 .9rem;align-items:center}" +
    ".fh-explore label{display:flex;align-items:center;gap:.6rem;font-size:.95rem;margin:0}" +
    ".fh-explore input[type=range]{width:11rem;min-height:24px;accent-color:#0072b2}.fh-explore select{min-height:28px}" +
    ".fh-explore output{min-width:2.5em;font-variant-numeric:tabular-nums;font-weight:600}" +
    ".fh-explore button{border:1px solid currentColor;background:none;color:inherit;border-radius:1rem;padding:.1rem .8rem;min-height:28px}" +
    ".fh-explore .fh-say{margin:.7rem 0 0;min-height:3.2em}.fh-explore figcaption{font-size:.9rem;opacity:.85;margin-top:.5rem;text-align:left}" +
    ".fh-explore img{max-width:100%}@media print{.fh-explore .fh-controls{display:none}}";

  function make(tag, attributes, text, svg) {
    var node = svg ? document.createElementNS(NS, tag) : document.createElement(tag);
    for (var name in attributes) if (attributes[name] !== undefined) node.setAttribute(name, attributes[name]);
    if (text !== undefined) node.textContent = text;
    return node;
  }
  function ink(colour) { return colour === "ink" ? "currentColor" : colour; }

  function figure(root) {
    var data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
    function get(item) { return item && item.$ !== undefined ? data.pool[item.$] : item; }

    function item(svg, raw, W, H) {
      var one = get(raw), p = get(one.p), x = function (v) { return (v * W / U).toFixed(1); };
      var y = function (v) { return (H - v * H / U).toFixed(1); }, i, d = "";
      var paint = { fill: one.f ? ink(one.f) : "none", "fill-opacity": one.fa, stroke: one.c ? ink(one.c) : "none",
        "stroke-opacity": one.ca, "stroke-width": one.w };
      var path = function (q) { var s = ""; for (var j = 0; j < q.length; j += 2) s += (j ? "L" : "M") + x(q[j]) + " " + y(q[j + 1]); return s; };
      if (one.t === "line") {
        svg.append(make("path", { d: path(p), fill: "none", stroke: ink(one.c), "stroke-width": one.w, opacity: one.a,
          "stroke-linejoin": "round", "stroke-dasharray": one.d ? get(one.d).join(" ") : undefined }, undefined, true));
      } else if (one.t === "area") {
        svg.append(make("path", Object.assign({ d: path(p) + "Z" }, paint), undefined, true));
      } else if (one.t === "segments") {
        p.forEach(function (q) { d += path(q); });
        svg.append(make("path", { d: d, fill: "none", stroke: ink(one.c), "stroke-width": one.w, "stroke-linecap": "round" }, undefined, true));
      } else if (one.t === "ring") {
        for (i = 0; i < p.length; i += 3)
          svg.append(make("circle", Object.assign({ cx: x(p[i]), cy: y(p[i + 1]), r: x(p[i + 2]) }, paint), undefined, true));
      } else if (one.t === "dots") {
        var keys = get(one.k), palette = get(one.c), of = palette.map(function () { return ""; });
        for (i = 0; i < p.length; i += 2)
          of[keys ? keys.charCodeAt(i / 2) - 97 : 0] += "M" + x(p[i]) + " " + y(p[i + 1]) + "h0";
        of.forEach(function (q, j) {
          if (q) svg.append(make("path", { d: q, stroke: ink(palette[j]), "stroke-width": one.s, "stroke-linecap": "round", opacity: one.a, fill: "none" }, undefined, true));
        });
      } else if (one.t === "text") {
        svg.append(make("text", { x: x(p[0]), y: y(p[1]), dy: one.v + "em", "text-anchor": one.h, fill: ink(one.c), "font-size": 14 }, one.s, true));
      }
    }

    function panel(one) {
      var W = 360, H = W * one.ratio, left = one.y.ticks.length ? 46 : 6, bottom = one.x.ticks.length ? 34 : 6;
      if (one.y.label) left += 20;
      if (one.x.label) bottom += 14;
      var box = make("div", { class: "fh-panel" });
      if (one.title) box.append(make("p", { class: "fh-title" }, one.title));
      var svg = make("svg", { viewBox: [-left, -8, W + left + 12, H + bottom + 8].join(" "), "aria-hidden": "true" }, undefined, true);
      var rule = function (x1, y1, x2, y2, o) {
        svg.append(make("line", { x1: x1, y1: y1, x2: x2, y2: y2, stroke: "currentColor", opacity: o }, undefined, true));
      };
      var word = function (x, y, s, anchor, extra) {
        svg.append(make("text", Object.assign({ x: x, y: y, "text-anchor": anchor, fill: "currentColor", "font-size": 14 }, extra), s, true));
      };
      if (one.frame) { rule(0, H, W, H, 0.6); rule(0, 0, 0, H, 0.6); }
      one.x.ticks.forEach(function (t) {
        var at = t[0] * W / U;
        if (one.x.grid) rule(at, 0, at, H, 0.12);
        rule(at, H, at, H + 4, 0.6); word(at, H + 18, t[1], "middle");
      });
      one.y.ticks.forEach(function (t) {
        var at = H - t[0] * H / U;
        if (one.y.grid) rule(0, at, W, at, 0.12);
        rule(-4, at, 0, at, 0.6); word(-8, at + 4, t[1], "end");
      });
      if (one.x.label) word(W / 2, H + bottom - 4, one.x.label, "middle");
      if (one.y.label) word(0, 0, one.y.label, "middle", { transform: "translate(" + (14 - left) + " " + H / 2 + ") rotate(-90)" });
      // What lies outside the axes is cut off, but for words.
      var inner = make("svg", { width: W, height: H, overflow: "hidden" }, undefined, true);
      svg.append(inner);
      one.items.forEach(function (raw) { item(get(raw).t === "text" ? svg : inner, raw, W, H); });
      box.append(svg);
      if (one.legend.length) {
        var list = make("div", { class: "fh-legend" });
        one.legend.forEach(function (row) {
          var entry = make("span", {}), dot = make("i", {});
          dot.style.background = ink(row[0]);
          entry.append(dot, row[1]);
          list.append(entry);
        });
        box.append(list);
      }
      return box;
    }

    var at = data.axes.map(function (a) { return a.start; });
    var panels = make("div", { class: "fh-panels", role: "img" });
    var say = make("p", { class: "fh-say", "aria-live": "polite" });
    var controls = make("div", { class: "fh-controls" });
    function show() {
      var index = 0;
      data.axes.forEach(function (a, i) { index = index * a.values.length + at[i]; });
      var frame = data.frames[index];
      panels.setAttribute("aria-label", data.say[index] || data.caption || "figure");
      panels.replaceChildren.apply(panels, frame.panels ? frame.panels.map(panel) :
        [make("img", { src: data.pool[frame.image], alt: data.say[index] || data.caption })]);
      say.textContent = data.say[index];
      root.dataset.state = at.join(",");
    }
    data.axes.forEach(function (axis, i) {
      var label = make("label", {}, axis.name + " "), last = axis.values.length - 1, control;
      if (axis.slider) {
        var output = make("output", {});
        control = make("input", { type: "range", min: 0, max: last, step: 1, value: at[i] });
        var set = function (value) {
          at[i] = Number(value); control.value = value;
          output.textContent = axis.values[at[i]]; control.setAttribute("aria-valuetext", axis.values[at[i]]);
        };
        control.addEventListener("input", function () { set(control.value); show(); });
        set(at[i]);
        label.append(control, output);
        controls.append(label);
        if (last > 4) label.after(player(function () { return at[i]; }, set, last, axis.name));
      } else {
        control = make("select", {});
        axis.values.forEach(function (v, j) { control.append(make("option", { value: j }, v)); });
        control.value = at[i];
        control.addEventListener("change", function () { at[i] = Number(control.value); show(); });
        label.append(control);
        controls.append(label);
      }
    });
    function player(now, set, last, name) {
      var button = make("button", { type: "button", "aria-label": "Play " + name }, "▶ play"), timer = null;
      function stop() { clearInterval(timer); timer = null; button.textContent = "▶ play"; }
      button.addEventListener("click", function () {
        if (timer) { stop(); return; }
        if (now() >= last) set(0);
        button.textContent = "❚❚ pause";
        show();
        timer = setInterval(function () {
          if (now() >= last || !root.isConnected) { stop(); return; }
          set(now() + 1); show();
        }, 700);
      });
      return button;
    }
    var still = root.querySelector(".fh-still");
    still.before(controls, panels, say);
    still.remove();
    show();
  }

  function start() {
    if (!document.getElementById("fh-explore-style")) {
      var style = make("style", { id: "fh-explore-style" }, CSS);
      document.head.append(style);
    }
    document.querySelectorAll("figure.fh-explore:not([data-ready])").forEach(function (root) {
      root.dataset.ready = "1";
      figure(root);
    });
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
