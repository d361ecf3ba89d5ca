import { type ReactNode, useState } from "react";
import type { Stats, System } from "@/shared/api/system";
import { count, span } from "@/shared/lib/format";
import { type Load, loads, type Minute, reasons } from "./hour";

const H = 96;

/** The last hour: what ended, what waited, how long it took and why jobs failed. */
export function Charts({ system, stats }: { system: System; stats: Stats }) {
  const { minutes } = system;
  const accepted = minutes.reduce((sum, minute) => sum + minute.accepted, 0);
  return (
    <section aria-labelledby="hour">
      <h2 id="hour" className="font-semibold text-20">
        The last hour
      </h2>
      <p className="pb-5 text-13 text-muted">
        {count(accepted, "job")} came in, {stats.completed_last_hour.toLocaleString("en-US")} completed,{" "}
        {stats.failed_last_hour.toLocaleString("en-US")} failed.
      </p>
      <div className="grid gap-x-10 gap-y-9 md:grid-cols-2">
        <Ended minutes={minutes} />
        <AtWork minutes={minutes} load={loads(system)} />
        <Times system={system} />
        <Errors errors={stats.errors} />
      </div>
    </section>
  );
}

function Ended({ minutes }: { minutes: Minute[] }) {
  const [at, setAt] = useState<number>();
  const top = Math.max(1, ...minutes.map(({ completed, failed }) => completed + failed));
  const shown = at === undefined ? undefined : minutes[at];
  const said = shown
    ? `${hourMinute(shown.at)}: ${shown.completed} completed, ${shown.failed} failed`
    : `at most ${top} a minute`;
  return (
    <Chart title="Jobs ended a minute" said={said}>
      <Frame label={`Jobs ended in each of the last 60 minutes, ${said}`} minutes={minutes} onAt={setAt}>
        {minutes.map(({ at: time, completed, failed }, index) => {
          const made = (completed / top) * (H - 2);
          const lost = (failed / top) * (H - 2);
          return (
            <g key={time} opacity={at === undefined || at === index ? 1 : 0.45}>
              <rect x={index + 0.15} width={0.7} y={H - made} height={made} fill="var(--text)" />
              <rect x={index + 0.15} width={0.7} y={H - made - lost} height={lost} fill="var(--bad)" />
            </g>
          );
        })}
      </Frame>
      <Legend
        entries={[
          ["var(--text)", "completed"],
          ["var(--bad)", "failed"],
        ]}
      />
    </Chart>
  );
}

function AtWork({ minutes, load }: { minutes: Minute[]; load: Load[] }) {
  const [at, setAt] = useState<number>();
  const shown = load[at ?? load.length - 1] ?? { queued: 0, inFlight: 0 };
  const when = at === undefined ? "now" : hourMinute(minutes[at]?.at ?? "");
  const said = `${when}: ${shown.queued} waiting, ${shown.inFlight} at work`;
  const top = Math.max(1, ...load.flatMap(({ queued, inFlight }) => [queued, inFlight]));
  const line = (key: keyof Load) =>
    load.map((one, index) => `${index + 0.5},${H - 1 - (one[key] / top) * (H - 4)}`).join(" ");
  return (
    <Chart title="Waiting and at work" said={said}>
      <Frame
        label={`Jobs that waited and were at work over the last hour, ${said}`}
        minutes={minutes}
        onAt={setAt}
      >
        {(["queued", "inFlight"] as const).map((key) => (
          <polyline
            key={key}
            points={line(key)}
            fill="none"
            stroke={key === "queued" ? "var(--muted)" : "var(--lit)"}
            strokeWidth="1.5"
            vectorEffect="non-scaling-stroke"
          />
        ))}
      </Frame>
      <Legend
        entries={[
          ["var(--muted)", "waiting"],
          ["var(--lit)", "at work"],
        ]}
      />
    </Chart>
  );
}

function Times({ system: { wait_s: wait, run_s: run } }: { system: System }) {
  const rows: [string, number | null][] = [
    ["Half waited at most", wait.p50],
    ["95 of 100 waited at most", wait.p95],
    ["Half were made within", run.p50],
    ["95 of 100 were made within", run.p95],
  ];
  const top = Math.max(...rows.map(([, value]) => value ?? 0));
  if (top === 0) return <Chart title="How long jobs took">{<Nothing>No job was completed.</Nothing>}</Chart>;
  return (
    <Chart title="How long jobs took">
      <Bars rows={rows.map(([name, value]) => [name, value ?? 0, span((value ?? 0) * 1000)])} top={top} />
    </Chart>
  );
}

function Errors({ errors }: { errors: Stats["errors"] }) {
  const rows = reasons(errors);
  if (rows.length === 0) return <Chart title="Why jobs failed">{<Nothing>None failed.</Nothing>}</Chart>;
  const top = Math.max(...rows.map(([, number]) => number));
  return (
    <Chart title="Why jobs failed">
      <Bars rows={rows.map(([name, number]) => [name, number, String(number)])} top={top} bad />
    </Chart>
  );
}

const Chart = ({ title, said, children }: { title: string; said?: string; children: ReactNode }) => (
  <figure className="min-w-0">
    <figcaption className="flex items-baseline justify-between gap-3 pb-2">
      <span className="font-medium text-14">{title}</span>
      <span className="text-12 text-muted">{said}</span>
    </figcaption>
    {children}
  </figure>
);

/** Sixty minutes wide; tells which of them the pointer is at. */
function Frame({
  label,
  minutes,
  onAt,
  children,
}: {
  label: string;
  minutes: Minute[];
  onAt: (at?: number) => void;
  children: ReactNode;
}) {
  return (
    <>
      <svg
        role="img"
        aria-label={label}
        viewBox={`0 0 ${minutes.length} ${H}`}
        preserveAspectRatio="none"
        className="h-24 w-full border-line border-b"
        onPointerMove={({ currentTarget, clientX }) => {
          const { left, width } = currentTarget.getBoundingClientRect();
          const at = Math.floor(((clientX - left) / width) * minutes.length);
          onAt(Math.min(minutes.length - 1, Math.max(0, at)));
        }}
        onPointerLeave={() => onAt(undefined)}
      >
        {children}
      </svg>
      <div aria-hidden="true" className="flex justify-between pt-1 text-12 text-muted">
        {[0, 30, minutes.length - 1].map((index) => (
          <span key={index}>{hourMinute(minutes[index]?.at ?? "")}</span>
        ))}
      </div>
    </>
  );
}

const Legend = ({ entries }: { entries: [color: string, words: string][] }) => (
  <p className="flex gap-4 pt-1 text-12 text-muted">
    {entries.map(([color, words]) => (
      <span key={words} className="flex items-center gap-1.5">
        <span className="h-2 w-2 rounded-full" style={{ background: color }} />
        {words}
      </span>
    ))}
  </p>
);

const Bars = ({
  rows,
  top,
  bad = false,
}: {
  rows: [name: string, value: number, words: string][];
  top: number;
  bad?: boolean;
}) => (
  <ul className="flex flex-col gap-2.5 pt-1">
    {rows.map(([name, value, words]) => (
      <li key={name}>
        <div className="flex justify-between gap-3 text-13">
          <span className="min-w-0 truncate text-muted">{name}</span>
          <span className="whitespace-nowrap">{words}</span>
        </div>
        <div className="mt-1 h-1 rounded-full bg-raised">
          <div
            className={`h-1 rounded-full ${bad ? "bg-bad" : "bg-text"}`}
            style={{ width: `${Math.max(0.5, (value / top) * 100)}%` }}
          />
        </div>
      </li>
    ))}
  </ul>
);

const Nothing = ({ children }: { children: ReactNode }) => (
  <p className="pt-1 text-13 text-muted">{children}</p>
);

const hourMinute = (time: string) =>
  time && new Date(time).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
