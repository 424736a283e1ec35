/* What is wider than its place can be scrolled, so the keyboard must be able to reach it. */
window.addEventListener("load", function () {
  "use strict";
  document.querySelectorAll(".bd-article pre, .bd-article figure, .bd-article .text_html, .bd-article .pst-scrollable-table-container")
    .forEach(function (box) {
      if (box.scrollWidth > box.clientWidth && getComputedStyle(box).overflowX !== "visible") box.tabIndex = 0;
    });
});

/* Filters for the evidence ledger: one menu each for chapter, source and verdict, and a count. */
document.addEventListener("DOMContentLoaded", function () {
  "use strict";
  var box = document.querySelector(".fh-ledger");
  if (!box) return;
  var rows = Array.from(box.querySelectorAll("tbody tr"));
  var bar = document.createElement("div"), count = document.createElement("output");
  bar.className = "fh-filters";
  var menus = ["chapter", "source", "verdict"].map(function (name) {
    var label = document.createElement("label"), menu = document.createElement("select");
    var values = Array.from(new Set(rows.map(function (row) { return row.dataset[name]; })));
    menu.name = name;
    ["all"].concat(values).forEach(function (value) {
      var option = document.createElement("option");
      var many = rows.filter(function (row) { return row.dataset[name] === value; }).length;
      option.value = value;
      option.textContent = value === "all" ? "all" : value + " (" + many + ")";
      menu.append(option);
    });
    label.append(name + " ", menu);
    bar.append(label);
    menu.addEventListener("change", show);
    return menu;
  });
  count.setAttribute("aria-live", "polite");
  bar.append(count);
  box.before(bar);
  function show() {
    var shown = 0;
    rows.forEach(function (row) {
      row.hidden = menus.some(function (menu) { return menu.value !== "all" && row.dataset[menu.name] !== menu.value; });
      shown += !row.hidden;
    });
    count.textContent = shown + " of " + rows.length + " claims";
  }
  show();
});
