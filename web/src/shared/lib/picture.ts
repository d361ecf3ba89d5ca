const TAKEN = ["image/png", "image/jpeg", "image/webp", "image/gif"];
const MOST_SIDE = 2048; // pixels
const QUALITIES = [0.9, 0.8, 0.65, 0.5];
const SMALLER = 0.7;
const MOST_TRIES = 5;

/** Return the picture as a data: URL of at most so many bytes; a larger one is made smaller. */
export async function pictureAsDataUrl(file: Blob, mostBytes: number): Promise<string> {
  if (TAKEN.includes(file.type) && file.size * 1.37 <= mostBytes) return read(file);
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error("This is no picture that the browser can read");
  });
  let side = Math.min(MOST_SIDE, Math.max(bitmap.width, bitmap.height));
  for (let tries = 0; tries < MOST_TRIES; tries += 1) {
    for (const quality of QUALITIES) {
      const url = draw(bitmap, side, quality);
      if (url.length <= mostBytes) return url;
    }
    side *= SMALLER;
  }
  throw new Error("This picture can't be made small enough to be sent along");
}

function draw(bitmap: ImageBitmap, side: number, quality: number): string {
  const scale = Math.min(1, side / Math.max(bitmap.width, bitmap.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return canvas.toDataURL("image/webp", quality);
}

function read(file: Blob): Promise<string> {
  return new Promise((done, fail) => {
    const reader = new FileReader();
    reader.onload = () => done(String(reader.result));
    reader.onerror = () => fail(new Error("The file can't be read"));
    reader.readAsDataURL(file);
  });
}

/** The picture that is dropped or pasted: a file, or one of this server's own pictures. */
export async function pictureOf(data: DataTransfer): Promise<Blob | null> {
  const file = [...data.files].find(({ type }) => type.startsWith("image/"));
  if (file) return file;
  const address = data.getData("text/uri-list").split("\n")[0];
  if (!address || new URL(address, location.href).origin !== location.origin) return null;
  const answer = await fetch(address);
  const blob = await answer.blob();
  return answer.ok && blob.type.startsWith("image/") ? blob : null;
}
