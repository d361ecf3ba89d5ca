import type { Health, Stats, System } from "@/shared/api/system";
import { bytes, count, span } from "@/shared/lib/format";

export type Look = "ok" | "bad" | "quiet";

/** One part of the installation as it is drawn. */
export type Part = {
  id: string;
  title: string;
  kind: string;
  look: Look;
  facts: [label: string, value: string][];
  line?: number[]; // oldest first
  trouble?: string; // what is wrong and what to do
};

/** What the page knows of this moment and of the time since it was opened. */
export type Known = {
  system: System;
  stats: Stats;
  health: Health;
  samples: { queued: number; inFlight: number; databaseMs: number; storageMs: number }[];
};

const KINDS: Record<string, string> = {
  sqlite: "SQLite",
  postgresql: "PostgreSQL",
  "in-process": "In process",
  celery: "Celery",
  local: "Local files",
  s3: "S3",
  azure: "Azure Blob Storage",
  gcs: "Google Cloud Storage",
};

const REMEDY: Record<string, string> = {
  database:
    "New jobs are refused until it answers; none is lost. Look at DATABASE_URL and at the server's log.",
  broker: "Jobs go on: workers look for them on their own. Look at REDIS_URL or CELERY_BROKER_URL.",
  worker: "Jobs are kept and wait. Start one: mediagen worker",
  storage: "Pictures that are ready are kept aside until it answers. Look at STORAGE_TYPE and its settings.",
};

export const kindOf = (name: string) => KINDS[name] ?? name;

/** The parts that this installation has, in the order that a job meets them. */
export function partsOf(known: Known): Part[] {
  const { system, stats, samples } = known;
  const per = (key: "accepted" | "completed") => system.minutes.map((minute) => minute[key]);
  const steps = stats.workers.reduce((sum, worker) => sum + worker.steps, 0);
  return [
    { id: "client", title: "Clients", kind: "This page, curl, SDKs", look: "quiet", facts: [] },
    {
      id: "api",
      title: "API",
      kind: `mediagen ${system.version}`,
      look: "ok",
      facts: [
        ["Taken, last hour", number(sum(per("accepted")))],
        ["Jobs in all", number(stats.total)],
      ],
      line: per("accepted"),
    },
    {
      ...checked(known, "database"),
      id: "database",
      title: "Database",
      kind: `${kindOf(system.database)}, the queue`,
      facts: [
        ["Waiting", number(stats.queue_depth)],
        ["Oldest", stats.oldest_queued_s === null ? "none" : span(stats.oldest_queued_s * 1000)],
      ],
      line: samples.map(({ queued }) => queued),
    },
    {
      ...checked(known, "broker"),
      id: "broker",
      title: "Broker",
      kind: `${kindOf(system.broker)}, the bell`,
      facts: [["Answers in", latency(known, "broker")]],
    },
    {
      ...checked(known, "worker"),
      id: "worker",
      title: "Workers",
      kind: count(stats.workers.length, "process", "processes"),
      facts: [
        ["Steps now", number(steps)],
        ["Done a minute", rate(stats.throughput_per_minute)],
      ],
      line: per("completed"),
    },
    ...system.providers.map((provider) => providerPart(known, provider)),
    {
      ...checked(known, "storage"),
      id: "storage",
      title: "Storage",
      kind: kindOf(system.storage),
      facts: [
        ["Kept", bytes(stats.storage_bytes)],
        ["Answers in", latency(known, "storage")],
      ],
      line: samples.map(({ storageMs }) => storageMs),
    },
  ];
}

function providerPart({ system, stats, samples }: Known, provider: System["providers"][number]): Part {
  const pauses = stats.paused_providers.filter(({ provider: name }) => name === provider.name);
  const alone = system.providers.length === 1;
  return {
    id: `provider:${provider.name}`,
    title: provider.name === "mock" ? "Mock provider" : title(provider.name),
    kind: provider.billed ? "Paid calls" : "Draws here, free",
    look: pauses.length > 0 ? "bad" : "ok",
    facts: [
      ["With it now", number(provider.in_flight)],
      ["Calls, last hour", number(provider.calls_last_hour)],
    ],
    line: alone ? samples.map(({ inFlight }) => inFlight) : undefined,
    trouble: pauses.length > 0 ? pauses.map(waiting).join(" ") : undefined,
  };
}

function waiting({ model, reason }: Stats["paused_providers"][number]): string {
  return `${model ? `Jobs of ${model} wait` : "Its jobs wait"}: ${reason.replace(/[.\s]+$/, "")}. They go on by themselves.`;
}

function checked({ health }: Known, name: string): Pick<Part, "look" | "trouble"> {
  const part = health.components[name];
  if (!part) return { look: "quiet" };
  if (part.status === "ok") return { look: "ok" };
  return { look: "bad", trouble: `${part.detail.replace(/[.\s]+$/, "")}. ${REMEDY[name] ?? ""}`.trim() };
}

const latency = ({ health }: Known, name: string) => {
  const part = health.components[name];
  return part
    ? `${part.latency_ms < 10 ? part.latency_ms.toFixed(1) : Math.round(part.latency_ms)} ms`
    : "unknown";
};
const title = (name: string) => name.charAt(0).toUpperCase() + name.slice(1);
const sum = (values: number[]) => values.reduce((total, value) => total + value, 0);
const number = (value: number) => value.toLocaleString("en-US");
const rate = (value: number) => (value < 10 ? value.toFixed(1) : number(Math.round(value)));
