import { beforeEach, describe, expect, it, vi } from "vitest";
import { pictureAsDataUrl, pictureOf } from "./picture";

const PNG = "image/png";
const blob = (bytes: number, type = PNG) => new Blob([new Uint8Array(bytes)], { type });
const sizes: [number, number][] = [];

/** A canvas whose pictures have one character for so many pixels. */
function canvasOf(pixelsEach: number): void {
  vi.spyOn(HTMLCanvasElement.prototype, "getContext").mockReturnValue(null);
  vi.spyOn(HTMLCanvasElement.prototype, "toDataURL").mockImplementation(function (this: HTMLCanvasElement) {
    sizes.push([this.width, this.height]);
    return "x".repeat(Math.ceil((this.width * this.height) / pixelsEach));
  });
}

beforeEach(() => {
  sizes.length = 0;
  vi.stubGlobal("createImageBitmap", async () => ({ width: 4000, height: 1000 }));
});

describe("a picture to be sent along", () => {
  it("goes as it is when it is small enough", async () => {
    expect(await pictureAsDataUrl(blob(3), 1000)).toBe("data:image/png;base64,AAAA");
  });

  it("is made smaller, in its shape, until it fits", async () => {
    canvasOf(1000);
    const url = await pictureAsDataUrl(blob(5000), 600);
    expect(url.length).toBeLessThanOrEqual(600);
    expect(sizes[0]).toEqual([2048, 512]);
    expect(sizes.at(-1)).toEqual([1434, 358]);
  });

  it("is drawn anew when its format is not one that is taken", async () => {
    canvasOf(1e6);
    await pictureAsDataUrl(blob(3, "image/heic"), 1000);
    expect(sizes).toHaveLength(1);
  });

  it("says so when it can't be read, and when it stays too large", async () => {
    canvasOf(1);
    await expect(pictureAsDataUrl(blob(5000), 10)).rejects.toThrow("can't be made small enough");
    vi.stubGlobal("createImageBitmap", async () => Promise.reject(new Error("InvalidStateError")));
    await expect(pictureAsDataUrl(blob(3, "text/plain"), 1000)).rejects.toThrow("no picture");
  });
});

describe("what is dropped", () => {
  const dropped = (files: File[], address = "") =>
    ({ files, getData: () => address }) as unknown as DataTransfer;
  const answer = (body: Blob, status = 200) =>
    vi.stubGlobal(
      "fetch",
      vi.fn(async () => ({ ok: status === 200, blob: async () => body })),
    );

  it("is the first file that is a picture", async () => {
    const [text, picture] = [
      new File([""], "a.txt", { type: "text/plain" }),
      new File([""], "b", { type: PNG }),
    ];
    expect(await pictureOf(dropped([text, picture]))).toBe(picture);
  });

  it("may be a picture of this server", async () => {
    answer(blob(3));
    expect(await pictureOf(dropped([], `${location.origin}/media/a.png\nhttp://other/`))).toMatchObject({
      type: PNG,
    });
    answer(blob(3, "text/html"));
    expect(await pictureOf(dropped([], `${location.origin}/media/a.png`))).toBeNull();
    answer(blob(3), 404);
    expect(await pictureOf(dropped([], `${location.origin}/media/a.png`))).toBeNull();
  });

  it("is never fetched from elsewhere", async () => {
    answer(blob(3));
    expect(await pictureOf(dropped([], "https://elsewhere.example/a.png"))).toBeNull();
    expect(await pictureOf(dropped([], ""))).toBeNull();
    expect(fetch).not.toHaveBeenCalled();
  });
});
