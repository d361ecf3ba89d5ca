// Pictures that develop: cells of the right shape that are empty first, then soft, then sharp.

import { atWork, countOf, layout, ratioOf } from "./words.js";

export function make(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
}

export function blankCell(job) {
  const cell = make("span", { className: "cell" });
  const sum = [...job.prompt].reduce((all, letter) => (all * 31 + letter.codePointAt(0)) >>> 0, 7);
  cell.style.setProperty("--x", `${sum % 100}%`);
  cell.style.setProperty("--y", `${(sum >>> 8) % 100}%`);
  return cell;
}

export function develop(cell, job, artifact, small) {
  if (!artifact || cell.dataset.key === artifact.key) return;
  cell.dataset.key = artifact.key;
  const address = `media/${artifact.key}`;
  const done = () => cell.classList.add("developed");
  const other = () => cell.replaceChildren(make("span", { className: "file", textContent: artifact.media_type }));
  if (artifact.kind === "video" && !small) {
    return cell.replaceChildren(make("video", { src: address, controls: true, loop: true, muted: true }));
  }
  if (artifact.kind !== "image") return other();
  const soft = make("img", { className: "soft", alt: "" });
  if (artifact.placeholder?.startsWith("data:image/")) soft.src = artifact.placeholder;
  const sharp = make("img", { className: "sharp", alt: job.prompt.slice(0, 200), onload: done, onerror: other });
  if (small) sharp.loading = "lazy";
  sharp.src = small ? `${address}?variant=thumbnail` : address;
  if (sharp.complete && sharp.naturalWidth) done();
  cell.replaceChildren(soft, sharp);
}

export function setBar(bar, job) {
  bar.hidden = !atWork(job);
  bar.classList.toggle("unknown", job.progress == null);
  bar.style.setProperty("--done", job.progress ?? 0);
}

// Show all pictures of a job on the stage, and links to save them.
export function showFrame(job) {
  const [frame, downloads, print] = ["frame", "downloads", "print"].map((id) => document.getElementById(id));
  const shows = [job.id, countOf(job)].join();
  if (frame.dataset.shows !== shows) {
    frame.dataset.shows = shows;
    const cells = Array.from({ length: countOf(job) }, () => blankCell(job));
    frame.replaceChildren(...cells.map((cell) => make("a", { target: "_blank", rel: "noopener" }, cell)));
    downloads.replaceChildren();
  }
  const { columns, whole, lead } = layout(job);
  const shape = { "--ratio": ratioOf(job), "--columns": columns, "--whole": whole };
  for (const [name, value] of Object.entries(shape)) print.style.setProperty(name, value);
  print.hidden = !atWork(job) && !job.artifacts.length;
  print.className = `print ${job.status}${atWork(job) ? " working" : ""}${lead ? " lead" : ""}`;
  [...frame.children].forEach((link, index) => {
    if (job.artifacts[index]) link.href = `media/${job.artifacts[index].key}`;
    develop(link.firstChild, job, job.artifacts[index], false);
  });
  if (downloads.children.length === job.artifacts.length) return;
  downloads.replaceChildren(
    ...job.artifacts.map(({ key }, index, { length }) => {
      const name = length > 1 ? `Download ${index + 1}` : "Download";
      const link = make("a", {
        href: `media/${key}?download=true`,
        download: "",
        textContent: index ? index + 1 : name,
      });
      return Object.assign(link, { ariaLabel: name });
    }),
  );
}
