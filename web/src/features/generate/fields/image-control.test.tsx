import { createEvent, fireEvent, screen, waitFor } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { useState } from "react";
import { expect, it, vi } from "vitest";
import { type Field, readForm } from "@/features/generate/schema";
import { show } from "@/shared/testing";
import { ImageControl } from "./image-control";

const URI = { type: "string", format: "uri" };
const user = userEvent.setup({ delay: null });
const png = (text: string) => new File([text], "a.png", { type: "image/png" });
const address = (text: string) => `data:image/png;base64,${btoa(text)}`;
const input = () => screen.getByLabelText<HTMLInputElement>(/Drop, paste or choose/);
const pictures = () => screen.queryAllByRole<HTMLImageElement>("img").map(({ src }) => src);
const area = () => screen.getByRole("group", { name: "Start" });

function control(schema: object) {
  const { main } = readForm({ properties: { start: { title: "Start", ...schema } } });
  const given: unknown[] = [];
  function Page() {
    const [value, setValue] = useState<unknown>();
    const change = (next: unknown) => {
      given.push(next);
      setValue(next);
    };
    return <ImageControl field={main[0] as Field} value={value} onChange={change} />;
  }
  show(<Page />);
  return given;
}

function drop(files: File[], link = "") {
  const event = createEvent.drop(area());
  Object.defineProperty(event, "dataTransfer", { value: { files, getData: () => link } });
  fireEvent(area(), event);
  return event;
}

it("takes a picture that is chosen, shows it, and lets it go", async () => {
  const given = control(URI);
  await user.upload(input(), png("one"));
  await waitFor(() => expect(pictures()).toEqual([address("one")]));
  expect(screen.queryByLabelText(/Drop, paste or choose/)).toBeNull(); // one is all it takes
  await user.click(screen.getByRole("button", { name: "Remove the picture from Start" }));
  expect(given).toEqual([address("one"), undefined]);
  expect(input()).toBeDefined();
});

it("takes a picture that is dropped, and the browser does not open it", async () => {
  control(URI);
  expect(fireEvent.dragOver(area())).toBe(false);
  expect(drop([png("two")]).defaultPrevented).toBe(true);
  await waitFor(() => expect(pictures()).toEqual([address("two")]));
});

it("takes what the page pastes into its input", async () => {
  control(URI);
  Object.defineProperty(input(), "files", { value: [png("pasted")], configurable: true });
  Object.defineProperty(input(), "value", { value: "", writable: true });
  input().dispatchEvent(new Event("change", { bubbles: true }));
  await waitFor(() => expect(pictures()).toEqual([address("pasted")]));
});

it("takes a picture out of the gallery", async () => {
  vi.stubGlobal("fetch", async () => ({ ok: true, blob: async () => png("mine") }));
  control(URI);
  drop([], `${location.origin}/media/a.png`);
  await waitFor(() => expect(pictures()).toEqual([address("mine")]));
});

it("says what is wrong at the field, until the next one", async () => {
  const given = control(URI);
  drop([new File(["text"], "a.txt", { type: "text/plain" })]);
  const trouble = await screen.findByText("There is no picture in this.");
  expect(input().getAttribute("aria-invalid")).toBe("true");
  expect(input().getAttribute("aria-describedby")).toBe(trouble.id);
  drop([png("good")]);
  await waitFor(() => expect(pictures()).toEqual([address("good")]));
  expect(screen.queryByText("There is no picture in this.")).toBeNull();
  expect(given).toEqual([address("good")]);
});

it("says so when the file is not what it claims to be", async () => {
  vi.stubGlobal("createImageBitmap", async () => Promise.reject(new Error("InvalidStateError")));
  control(URI);
  drop([new File(["text"], "a.heic", { type: "image/heic" })]);
  expect(await screen.findByText("This is no picture that the browser can read")).toBeDefined();
});

it("takes up to four where there may be several, each once", async () => {
  const given = control({ type: "array", items: URI });
  for (const text of ["a", "b", "b", "c", "d", "e"]) {
    drop([png(text)]);
    await waitFor(() => expect(pictures().at(-1)).toBe(address(text)));
  }
  expect(pictures()).toEqual(["b", "c", "d", "e"].map(address));
  const [first] = screen.getAllByRole("button", { name: "Remove the picture from Start" });
  if (first) await user.click(first);
  expect(given.at(-1)).toEqual(["c", "d", "e"].map(address));
});
