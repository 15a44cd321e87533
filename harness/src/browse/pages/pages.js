// Narrows a list where no server does: the fields of the form, kept in the address behind `#`.
(() => {
  const form = document.getElementById("filter"), table = document.querySelector("table.list");
  if (!form || !form.hidden) return;
  form.hidden = false;
  const shown = document.getElementById("shown"), said = document.getElementById("left");
  const rows = table ? [...table.tBodies[0].rows] : [];
  const read = () => new URLSearchParams(location.hash.slice(1));
  const takes = (row, wanted) => {
    const has = (name) => !wanted.get(name) || row.dataset[name].split("\n").includes(wanted.get(name));
    const builds = row.dataset.build.split("\n"), build = wanted.get("build");
    return has("plan") && has("verdict") && has("place") && (!build || builds.some((own) => own.startsWith(build)))
      && (!wanted.get("from") || row.dataset.day >= wanted.get("from")) && (!wanted.get("to") || row.dataset.day <= wanted.get("to"));
  };
  const apply = () => {
    const wanted = read();
    let left = 0;
    for (const row of rows) { row.hidden = !takes(row, wanted); left += !row.hidden }
    for (const field of form.elements) if (field.name) field.value = wanted.get(field.name) || "";
    shown.hidden = left < rows.length;
    said.hidden = !shown.hidden;
    said.textContent = `${left} of ${rows.length} are like this.`;
    if (!said.hidden) {
      const all = document.createElement("a");
      all.href = "#"; all.textContent = "Show all";
      said.append(" ", all);
    }
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const wanted = new URLSearchParams();
    for (const [name, value] of new FormData(form)) if (value) wanted.set(name, value);
    location.hash = wanted;
  });
  addEventListener("hashchange", apply);
  apply();
})();
