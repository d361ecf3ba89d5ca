import { fireEvent, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { createRef, useState } from "react";
import { expect, it } from "vitest";
import { show } from "@/shared/testing";
import { PromptBox } from "./prompt-box";

const user = userEvent.setup({ delay: null });
const EARLIER = ["a red fox", "<b>an owl</b>"];
const box = () => screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Prompt" });

function Page({ first = "", earlier = EARLIER, error = undefined as string | undefined }) {
  const [prompt, setPrompt] = useState(first);
  return <PromptBox box={createRef()} prompt={prompt} earlier={earlier} error={error} onChange={setPrompt} />;
}

it("brings the last prompt back by the arrow up", async () => {
  show(<Page />);
  await user.type(box(), "{ArrowUp}");
  expect(box().value).toBe("a red fox");
});

it("moves the cursor when something is written, or nothing was before", async () => {
  show(<Page first="mine" />);
  expect(fireEvent.keyDown(box(), { key: "ArrowUp" })).toBe(true);
  expect(box().value).toBe("mine");
});

it("offers earlier prompts by a menu", async () => {
  show(<Page first="mine" />);
  await user.click(screen.getByRole("button", { name: "Earlier prompts" }));
  expect(screen.getAllByRole("menuitem").map(({ textContent }) => textContent)).toEqual(EARLIER);
  await user.click(screen.getByRole("menuitem", { name: "<b>an owl</b>" }));
  expect(box().value).toBe("<b>an owl</b>");
});

it("has no menu before the first prompt", () => {
  show(<Page earlier={[]} />);
  expect(screen.queryByRole("button", { name: "Earlier prompts" })).toBeNull();
  expect(fireEvent.keyDown(box(), { key: "ArrowUp" })).toBe(true);
});

it("says what is wrong with the prompt", () => {
  show(<Page error="Write a prompt first." />);
  expect(box().getAttribute("aria-invalid")).toBe("true");
  const about = document.getElementById(box().getAttribute("aria-describedby") ?? "");
  expect(about?.textContent).toBe("Write a prompt first.");
});
