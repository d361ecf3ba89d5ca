// @vitest-environment node

import { expect, it } from "vitest";
import type { Known } from "./parts";
import { partsOf } from "./parts";

const ok = { status: "ok" as const, detail: "fine", latency_ms: 1.234 };

const known = (): Known => ({
  system: {
    version: "1.2.3",
    mode: "embedded",
    mock_mode: true,
    database: "sqlite",
    broker: "in-process",
    storage: "local",
    providers: [
      { name: "mock", default_model: "mock/darkroom", billed: false, calls_last_hour: 1234, in_flight: 2 },
    ],
    minutes: [{ at: "2026-01-01T00:00:00Z", accepted: 3, begun: 3, completed: 2, failed: 0, canceled: 0 }],
    queue_depth: 4,
    in_flight: 2,
    wait_s: { p50: null, p95: null },
    run_s: { p50: null, p95: null },
  },
  stats: {
    jobs: {},
    states: {},
    total: 7,
    queue_depth: 4,
    oldest_queued_s: 12,
    in_flight: 2,
    completed_last_hour: 2,
    failed_last_hour: 0,
    throughput_per_minute: 0.25,
    error_rate: 0,
    errors: {},
    duration_s: { p50: null, p95: null },
    workers: [{ name: "a", started_at: "", seen_at: "", steps: 3 }],
    paused_providers: [],
    storage_bytes: 1_200_000,
    version: "1.2.3",
    mock_mode: true,
  },
  health: {
    status: "ok",
    version: "1.2.3",
    components: { database: ok, broker: ok, worker: ok, storage: ok },
  },
  samples: [],
});

const part = (from: Known, id: string) => partsOf(from).find((one) => one.id === id);

it("names the parts in the order that a job meets them", () => {
  expect(partsOf(known()).map(({ id }) => id)).toEqual([
    "client",
    "api",
    "database",
    "broker",
    "worker",
    "provider:mock",
    "storage",
  ]);
});

it("shows the numbers that matter with their units", () => {
  expect(part(known(), "database")?.facts).toEqual([
    ["Waiting", "4"],
    ["Oldest", "12 s"],
  ]);
  expect(part(known(), "storage")?.facts).toEqual([
    ["Kept", "1.2 MB"],
    ["Answers in", "1.2 ms"],
  ]);
  expect(part(known(), "provider:mock")?.facts[1]).toEqual(["Calls, last hour", "1,234"]);
});

it("says of a failing part what is wrong and what to do", () => {
  const broken = known();
  broken.health.components.worker = { status: "failing", detail: "No worker was seen.", latency_ms: 1 };
  expect(part(broken, "worker")).toMatchObject({
    look: "bad",
    trouble: "No worker was seen. Jobs are kept and wait. Start one: mediagen worker",
  });
});

it("says why a provider is paused", () => {
  const paused = known();
  paused.stats.paused_providers = [
    { provider: "mock", model: null, until: "", reason: "mock is busy: too many requests" },
  ];
  expect(part(paused, "provider:mock")?.trouble).toContain("too many requests");
});

it("names the model that is paused", () => {
  const paused = known();
  paused.stats.paused_providers = [
    {
      provider: "mock",
      model: "acme/painter",
      until: "",
      reason: "mock does not let this token use the model: HTTP 403.",
    },
  ];
  expect(part(paused, "provider:mock")?.trouble).toBe(
    "Jobs of acme/painter wait: mock does not let this token use the model: HTTP 403. They go on by themselves.",
  );
});
