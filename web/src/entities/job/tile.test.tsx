import { fireEvent, screen } from "@testing-library/react";
import { describe, expect, it, vi } from "vitest";
import { artifactOf, detailOf, eventOf, jobOf, show, workOf } from "@/shared/testing";
import { Sheet } from "./sheet";
import { JobTile } from "./tile";
import { eventWords, Timeline } from "./timeline";

const MARKUP = '<img src=x onerror="alert(1)"> a fox';
const bar = () => screen.queryByRole("progressbar", { name: "Progress" });

describe("a tile", () => {
  it.each([
    [jobOf(), "a red fox. Made in 2.4 s"],
    [workOf(), "a red fox. Mock is making it"],
    [jobOf({ status: "canceled" }), "a red foxCanceled"],
    [jobOf({ status: "failed", error_message: "Refused" }), "a red foxRefused"],
    [jobOf({ status: "failed" }), "a red foxFailed"],
  ])("is called by its prompt and how it stands: %#", (job, name) => {
    show(<JobTile job={job} />);
    expect(screen.getByRole("button", { name })).toBeDefined();
  });

  it("shows the small picture, and opens", () => {
    const open = vi.fn();
    show(<JobTile job={jobOf({ artifacts: [artifactOf({ thumbnail_url: "/t.webp" })] })} onClick={open} />);
    expect(screen.getByAltText("a red fox").getAttribute("src")).toBe("/t.webp");
    fireEvent.click(screen.getByRole("button"));
    expect(open).toHaveBeenCalledOnce();
  });

  it("shows the picture itself until there is a small one", () => {
    show(<JobTile job={jobOf({ artifacts: [artifactOf()] })} />);
    expect(screen.getByAltText("a red fox").getAttribute("src")).toMatch(/picture-0\.png$/);
  });

  it("says how many there are", () => {
    show(<JobTile job={jobOf({ parameters: { num_outputs: 4 } })} />);
    expect(screen.getByText("4")).toBeDefined();
  });

  it("takes markup in a prompt for text", () => {
    const { container } = show(
      <JobTile job={jobOf({ status: "failed", prompt: MARKUP, error_message: "<b>no</b>" })} />,
    );
    expect(screen.getByText(MARKUP)).toBeDefined();
    expect(screen.getByText("<b>no</b>")).toBeDefined();
    expect(container.querySelector("b, [onerror]")).toBeNull();
  });
});

describe("progress", () => {
  it("is told as a whole percentage", () => {
    show(<JobTile job={workOf({ progress: 0.396 })} />);
    expect(bar()?.getAttribute("aria-valuenow")).toBe("40");
  });

  it.each([
    [workOf({ progress: null })],
    [jobOf({ progress: 1 })],
    [jobOf({ status: "failed", progress: 0.5 })],
  ])("is not told when it is unknown, or over: %#", (job) => {
    show(<JobTile job={job} />);
    expect(bar()).toBeNull();
  });

  it("is told when nothing is done yet", () => {
    show(<JobTile job={workOf({ progress: 0 })} />);
    expect(bar()?.getAttribute("aria-valuenow")).toBe("0");
  });
});

describe("a sheet", () => {
  it("shows each picture large", () => {
    const open = vi.fn();
    show(
      <Sheet
        job={jobOf({ artifacts: [artifactOf(), artifactOf({ index: 1 })] })}
        maxHeight="1px"
        onOpen={open}
      />,
    );
    fireEvent.click(screen.getByRole("button", { name: "Show picture 2 large" }));
    expect(open).toHaveBeenCalledWith(1);
  });

  it("plays films and sounds, and names what it can't show", () => {
    const artifacts = [
      artifactOf({ kind: "video", media_type: "video/mp4" }),
      artifactOf({ kind: "audio", media_type: "audio/mpeg", index: 1 }),
      artifactOf({ kind: "model", media_type: "model/gltf-binary", index: 2 }),
      artifactOf({ media_type: "image/svg+xml", index: 3 }), // may hold scripts: it is saved, never shown
    ];
    const { container } = show(<Sheet job={jobOf({ artifacts })} maxHeight="1px" onOpen={() => {}} />);
    expect(container.querySelector("video")?.controls).toBe(true);
    expect(container.querySelector("audio")?.controls).toBe(true);
    expect(screen.getByText("model/gltf-binary")).toBeDefined();
    expect(screen.getByText("image/svg+xml")).toBeDefined();
    expect(container.querySelector("img")).toBeNull();
  });
});

describe("a timeline", () => {
  const at = (seconds: number) => ({
    id: seconds + 1,
    at: new Date(Date.UTC(2026, 10, 20, 12, 0, seconds)).toISOString(),
  });
  const factsOf = (job: Parameters<typeof Timeline>[0]["job"]) => {
    show(<Timeline job={job} />);
    return screen
      .getAllByRole("listitem")
      .map(({ textContent }) => textContent?.replace(/\d\d:\d\d:\d\d\.\d{3}/, "@"));
  };

  it("tells each fact, and how long it was in coming", () => {
    const timeline = [
      eventOf("created", {}, at(0)),
      eventOf("submitted", { provider: "mock", call: 2 }, { ...at(0), id: 99 }),
      eventOf("progress", { progress: 0.1 }, at(1)),
      eventOf("progress", { progress: 0.8 }, at(2)),
      eventOf("succeeded", { outputs: 2 }, at(65)),
    ];
    expect(factsOf(detailOf({ timeline }))).toEqual([
      "Accepted, on disk@",
      "Sent to MockCall 2@",
      "Making it80 %@+2 s",
      "Saved2 files@+1 min 3 s",
    ]);
  });

  it("tells why it waits, and for how long", () => {
    const data = { reason: "the provider is busy", detail: "429", retry_at: "2026-11-20T12:00:08.000Z" };
    expect(eventWords(eventOf("retrying", data))).toEqual({
      title: "Trying again",
      detail: "The provider is busy; 429; in 8 s",
    });
    expect(eventWords(eventOf("retrying", {})).detail).toBe("");
  });

  it.each([
    ["accepted", {}, "The provider took it", undefined],
    ["failed", { message: "<b>no</b>" }, "Failed", "<b>no</b>"],
    ["reconciling", { reason: "timeout" }, "The answer was lost; asking whether it was taken", "timeout"],
    ["storing", { outputs: 1 }, "Made; keeping the output", "1 file"],
    ["cancel_requested", {}, "Cancel asked for", undefined],
    ["canceled", {}, "Canceled", undefined],
    ["moved_elsewhere", {}, "Moved elsewhere", undefined],
  ])("has words for %s", (type, data, title, detail) => {
    expect(eventWords(eventOf(type, data))).toEqual(detail === undefined ? { title } : { title, detail });
  });
});
