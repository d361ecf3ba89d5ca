import { describe, expect, it, vi } from "vitest";
import { artifactOf, jobOf } from "@/shared/testing";
import { fileName, save, saveFiles } from "./download";

const nameOf = (prompt: string, media_type = "image/png") => {
  const artifact = artifactOf({ media_type });
  return fileName(jobOf({ id: "019a-abcdef", prompt, artifacts: [artifact] }), artifact);
};

describe("the name of a file", () => {
  it.each([
    ["A red fox, at dawn!", "A-red-fox-at-dawn-abcdef.png"],
    ["../../etc/passwd", "etc-passwd-abcdef.png"],
    ['C:\\con|<>:"?*', "C-con-abcdef.png"],
    ["狐狸 ① été", "狐狸-1-été-abcdef.png"],
    ["", "picture-abcdef.png"],
    ["🦊🦊", "picture-abcdef.png"],
    ["\u202egnp.exe\n", "gnp-exe-abcdef.png"],
  ])("for %j is %s", (prompt, name) => {
    expect(nameOf(prompt)).toBe(name);
  });

  it.each([
    ["image/jpeg", "jpg"],
    ["image/svg+xml", "svg"],
    ["audio/mpeg", "mp3"],
    ["text/plain", "txt"],
    ["model/gltf-binary", "gltf"],
    ["strange", "bin"],
  ])("of %s ends in %s", (type, ending) => {
    expect(nameOf("a", type)).toBe(`a-abcdef.${ending}`);
  });

  it("is never long, and cuts no letter in two", () => {
    const name = nameOf("𝒳𠮷".repeat(200));
    expect([...name].length).toBeLessThan(75);
    expect(() => encodeURIComponent(name)).not.toThrow();
  });

  it("counts when there are several", () => {
    const artifacts = [artifactOf(), artifactOf({ index: 1 })];
    const job = jobOf({ prompt: "a", artifacts });
    expect(artifacts.map((artifact) => fileName(job, artifact))).toEqual(["a-job-1-1.png", "a-job-1-2.png"]);
  });
});

it("saves each file of a job from its address", () => {
  const clicked: string[] = [];
  vi.spyOn(HTMLAnchorElement.prototype, "click").mockImplementation(function (this: HTMLAnchorElement) {
    clicked.push(`${this.download}<${new URL(this.href).pathname}`);
  });
  saveFiles(jobOf({ artifacts: [artifactOf(), artifactOf({ index: 1 })] }));
  save("/files/all.zip", "all.zip");
  expect(clicked).toEqual(["</media/picture-0.png", "</media/picture-1.png", "all.zip</files/all.zip"]);
});
