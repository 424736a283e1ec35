/* The typewriter: cuts characters out of one picture (a row a style, a column a character) and sets what is typed. */
(function () {
  "use strict";
  function start() {
    document.querySelectorAll("figure.fh-typewriter:not([data-ready])").forEach(function (root) {
      root.dataset.ready = "1";
      var data = JSON.parse(root.querySelector("script[type='application/json']").textContent);
      var sheet = new Image(), size = data.size, side = 64, across = 12;
      var input = root.querySelector("input"), menu = root.querySelector("select"), paper = root.querySelector("canvas");
      var say = root.querySelector(".fh-say"), keys = root.querySelector(".fh-keys"), waiting = null;
      function set() {
        var typed = Array.from(input.value), known = typed.filter(function (c) { return data.characters.indexOf(c) >= 0; });
        var strange = typed.filter(function (c) { return c.trim() && data.characters.indexOf(c) < 0; });
        var lines = Math.max(1, Math.ceil(typed.length / across)), row = Number(menu.value);
        paper.width = side * Math.max(1, Math.min(across, typed.length)); paper.height = side * lines;
        var pen = paper.getContext("2d");
        pen.fillStyle = "#fff"; pen.fillRect(0, 0, paper.width, paper.height);
        if (root.querySelector(".fh-still")) root.querySelector(".fh-still").remove();
        typed.forEach(function (c, n) {
          var column = Array.from(data.characters).indexOf(c);
          if (column >= 0) pen.drawImage(sheet, column * size, row * size, size, size, n % across * side, Math.floor(n / across) * side, side, side);
        });
        var words = (known.join("") || "Nothing") + " in the style of " + data.styles[row] + ".";
        if (strange.length) words += " Not in the set: " + strange.join(" ") + ".";
        paper.setAttribute("aria-label", words); root.dataset.state = row + ":" + input.value;
        clearTimeout(waiting);
        waiting = setTimeout(function () { say.textContent = words; }, 400);  // one announcement, not one a key
      }
      Array.from(data.characters).forEach(function (c) {
        var key = document.createElement("button");
        key.type = "button"; key.textContent = c; key.lang = "zh";
        key.addEventListener("click", function () {
          if (Array.from(input.value).length < input.maxLength) { input.value += c; set(); }
        });
        keys.append(key);
      });
      root.querySelector(".fh-clear").addEventListener("click", function () { input.value = ""; set(); input.focus(); });
      // While a character is being composed, its Latin letters stand in the field: wait for the end.
      input.addEventListener("input", function (event) { if (!event.isComposing) set(); });
      input.addEventListener("compositionend", set);
      menu.addEventListener("change", set);
      sheet.addEventListener("load", set);
      sheet.src = data.sheet;
      root.querySelector(".fh-desk").hidden = false;
    });
  }
  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start); else start();
})();
