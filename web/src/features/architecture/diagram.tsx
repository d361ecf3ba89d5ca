import { useMemo } from "react";
import { cn } from "@/shared/lib/cn";
import { useWidth } from "@/shared/lib/use-width";
import { type Box, type Edge, planFor } from "./layout";
import { type Light, useLights } from "./lights";
import type { Part } from "./parts";
import { Spark } from "./spark";

/** The parts and the ways between them; each job that passes is a small light. */
export function Diagram({ parts, firstProvider }: { parts: Part[]; firstProvider: string }) {
  const { ref, width } = useWidth();
  const ids = parts.map(({ id }) => id).join(" ");
  const plan = useMemo(() => planFor(width, ids.split(" ")), [width, ids]);
  const [lights, putOut] = useLights(firstProvider);
  return (
    <div ref={ref} className="relative" style={{ height: plan.height }}>
      {width > 0 && (
        <>
          <svg
            aria-hidden="true"
            width={width}
            height={plan.height}
            className="absolute inset-0 overflow-visible"
          >
            {plan.edges.map((edge) => (
              <Way key={edge.id} edge={edge} lit={lights.some((light) => light.edge === edge.id)} />
            ))}
            {lights.map((light) => (
              <Travelling
                key={light.key}
                light={light}
                way={plan.edges.find(({ id }) => id === light.edge)}
                onEnd={putOut}
              />
            ))}
          </svg>
          <ul aria-label="Parts of this installation">
            {parts.map((part) => (
              <PartBox key={part.id} part={part} box={plan.boxes.get(part.id)} wide={plan.wide} />
            ))}
          </ul>
        </>
      )}
    </div>
  );
}

const Way = ({ edge, lit }: { edge: Edge; lit: boolean }) => (
  <path
    d={edge.d}
    fill="none"
    stroke={lit ? "var(--lit)" : "var(--edge)"}
    strokeOpacity={lit ? 0.7 : 0.55}
    strokeDasharray={edge.bell ? "2 5" : undefined}
    className="transition-[stroke,stroke-opacity] duration-300"
  />
);

function Travelling({ light, way, onEnd }: { light: Light; way?: Edge; onEnd: (key: number) => void }) {
  if (!way) return null;
  return (
    <circle
      r="4"
      fill={light.bad ? "var(--bad)" : "var(--lit)"}
      className="animate-travel"
      style={{
        offsetPath: `path("${way.d}")`,
        animationDelay: `${light.afterMs}ms`,
        animationDirection: light.back ? "reverse" : "normal",
      }}
      onAnimationEnd={() => onEnd(light.key)}
    />
  );
}

const DOT: Record<Part["look"], string> = { ok: "bg-ok", bad: "bg-bad", quiet: "bg-edge" };

function PartBox({ part, box, wide }: { part: Part; box?: Box; wide: boolean }) {
  if (!box) return null;
  const { x, y, w, h } = box;
  const bad = part.look === "bad";
  return (
    <li
      data-part={part.id}
      data-look={part.look}
      className={cn(
        "absolute flex overflow-hidden rounded-m border bg-surface px-3 py-2.5",
        wide
          ? "flex-col"
          : "flex-col justify-center gap-x-6 gap-y-2 min-[520px]:flex-row min-[520px]:items-center min-[520px]:justify-start",
        bad ? "border-bad shadow-[0_0_24px_-6px_var(--bad)]" : "border-line",
      )}
      style={{ left: x, top: y, width: w, height: h }}
    >
      <div className={cn("min-w-0", !wide && "min-[520px]:w-44 min-[520px]:shrink-0")}>
        <h3 className="flex items-center gap-2 font-medium text-14">
          <span className={cn("size-2 shrink-0 rounded-full", DOT[part.look])} />
          <span className="truncate">{part.title}</span>
          {bad && <span className="ml-auto text-12 text-bad">Trouble</span>}
        </h3>
        <p className="truncate text-12 text-muted">{part.kind}</p>
      </div>
      <Facts part={part} wide={wide} />
      {part.line && (
        <Spark values={part.line} className={wide ? "mt-auto" : "hidden w-28 grow min-[520px]:block"} />
      )}
    </li>
  );
}

const Facts = ({ part, wide }: { part: Part; wide: boolean }) => (
  <dl
    className={cn(
      "text-12",
      wide ? "flex flex-col pt-1" : "flex gap-x-6 gap-y-1 min-[520px]:w-64 min-[520px]:shrink-0",
    )}
  >
    {part.facts.map(([label, value]) => (
      <div key={label} className={cn("min-w-0", wide ? "flex justify-between gap-2" : "flex-1")}>
        <dt className="truncate text-muted">{label}</dt>
        <dd className={cn("whitespace-nowrap tabular-nums", !wide && "text-13")}>{value}</dd>
      </div>
    ))}
  </dl>
);
