import { act, fireEvent, screen } from "@testing-library/react";
import userEvent from "@testing-library/user-event";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { press } from "@/shared/lib/commands";
import { modelOf, serve, show } from "@/shared/testing";
import { FilterBar } from "./filter-bar";
import { useFilters } from "./filters";

const user = userEvent.setup({ delay: null });
function Page() {
  const { chosen, choose } = useFilters();
  return <FilterBar chosen={chosen} choose={choose} />;
}
const search = () => screen.getByRole<HTMLInputElement>("searchbox", { name: "Search the prompts" });
const chips = () =>
  screen.queryAllByRole("button", { name: /^Take the filter/ }).map(({ textContent }) => textContent);
const pick = async (menu: string, item: string) => {
  await user.click(screen.getByRole("button", { name: menu }));
  await user.click(await screen.findByRole("menuitemradio", { name: item }));
};

beforeEach(() => {
  serve(() => ({ body: { items: [modelOf({ id: "a/b" })], mock_mode: true, connect_with: [] } }));
});
afterEach(() => vi.useRealTimers());

describe("filters", () => {
  it("go into the address, each beside the others", async () => {
    const { address } = show(<Page />, { path: "/history?job=x" });
    await pick("Filter by status", "Failed");
    await pick("Filter by model", "a/b");
    await pick("Filter by date", "Last 7 days");
    expect(address()).toBe("/history?job=x&status=failed&model=a%2Fb&days=7");
    expect(chips()).toEqual(["Failed", "a/b", "Last 7 days"]);
  });

  it("come out of the address, and show what is chosen", async () => {
    show(<Page />, { path: "/history?q=red+fox&status=completed&model=gone/model" });
    expect(search().value).toBe("red fox");
    expect(chips()).toEqual(["“red fox”", "Completed", "gone/model"]);
    await user.click(screen.getByRole("button", { name: "Filter by model" }));
    expect(screen.getByRole("menuitemradio", { checked: true }).textContent).toBe("gone/model");
  });

  it("are taken away one by one, or all at once", async () => {
    const { address } = show(<Page />, { path: "/history?q=fox&status=failed&days=1" });
    await user.click(screen.getByRole("button", { name: "Take the filter Failed away" }));
    expect(address()).toBe("/history?q=fox&days=1");
    await user.click(screen.getByRole("button", { name: "Clear all" }));
    expect([address(), chips(), search().value]).toEqual(["/history", [], ""]);
    expect(screen.queryByRole("button", { name: "Clear all" })).toBeNull();
  });

  it("are any again by the menu's first choice", async () => {
    const { address } = show(<Page />, { path: "/history?status=failed" });
    await pick("Filter by status", "Any status");
    expect(address()).toBe("/history");
  });
});

describe("the search", () => {
  const type = (value: string) => fireEvent.change(search(), { target: { value } });
  const pass = (ms: number) => act(() => vi.advanceTimersByTime(ms));

  it("waits for the end of a word", () => {
    vi.useFakeTimers();
    const { address } = show(<Page />, { path: "/history" });
    type("re");
    pass(200);
    type("red");
    pass(200);
    expect(address()).toBe("/history");
    pass(100);
    expect(address()).toBe("/history?q=red");
  });

  it("keeps the space before the next word, and does not ask again for it", () => {
    vi.useFakeTimers();
    const { address } = show(<Page />, { path: "/history" });
    type("red ");
    pass(300);
    expect([address(), search().value]).toEqual(["/history?q=red", "red "]);
    expect(vi.getTimerCount()).toBe(0);
    type("red fox");
    pass(300);
    expect(address()).toBe("/history?q=red+fox");
  });

  it("ends when it is emptied", () => {
    vi.useFakeTimers();
    const { address } = show(<Page />, { path: "/history?q=fox" });
    type("");
    pass(300);
    expect(address()).toBe("/history");
  });

  it("is reached by the slash", () => {
    show(<Page />);
    addEventListener("keydown", press);
    expect(fireEvent.keyDown(document.body, { key: "/" })).toBe(false); // and no slash is written
    removeEventListener("keydown", press);
    expect(document.activeElement).toBe(search());
  });
});
