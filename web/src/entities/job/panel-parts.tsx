import { Download } from "lucide-react";
import { type ReactNode, useState } from "react";
import { apiPrefix } from "@/shared/api/client";
import type { Artifact, Attempt, JobDetail } from "@/shared/api/jobs";
import { cn } from "@/shared/lib/cn";
import { bytes, count, sentence, span, usd } from "@/shared/lib/format";
import { Button } from "@/shared/ui/button";
import { CopyButton } from "@/shared/ui/copy-button";
import { asCurl, asPython } from "./code";

export function Section({ title, side, children }: { title: string; side?: ReactNode; children: ReactNode }) {
  return (
    <section className="border-line border-t py-4">
      <div className="flex min-h-7 items-center justify-between pb-2">
        <h2 className="text-12 text-muted">{title}</h2>
        {side}
      </div>
      {children}
    </section>
  );
}

/** Names and values, aligned. */
export function Facts({ facts }: { facts: ([string, ReactNode] | false)[] }) {
  const shown = facts.filter((fact) => fact !== false);
  return (
    <dl className="grid grid-cols-[minmax(96px,auto)_1fr] gap-x-4 gap-y-1 text-13">
      {shown.map(([name, value]) => (
        <div key={name} className="contents">
          <dt className="text-muted">{name}</dt>
          <dd className="min-w-0">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** A parameter's value; pictures that were sent along show as pictures. */
export function ParameterValue({ value }: { value: unknown }) {
  if (typeof value === "string" && value.startsWith("data:image/")) {
    return <img src={value} alt="What was sent along" className="max-h-24 max-w-full rounded-s" />;
  }
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return <span className="line-clamp-6 font-mono text-12 leading-5">{text}</span>;
}

export function Files({ artifacts }: { artifacts: Artifact[] }) {
  return (
    <ul className="grid gap-1">
      {artifacts.map((artifact) => (
        <li key={artifact.key} className="flex items-center justify-between gap-2 text-13">
          <span>
            {artifact.media_type}
            <span className="text-muted">
              {artifact.width && artifact.height ? ` · ${artifact.width} × ${artifact.height}` : ""} ·{" "}
              {bytes(artifact.size_bytes)}
            </span>
            {artifact.doubt && <span className="block text-12 text-muted">{sentence(artifact.doubt)}</span>}
          </span>
          <Button asChild look="quiet" size="icon-s">
            <a href={`${artifact.path}?download=true`} aria-label={`Download file ${artifact.index + 1}`}>
              <Download />
            </a>
          </Button>
        </li>
      ))}
    </ul>
  );
}

/** What the provider gave back beside files: the seed that was used, scores, text. */
export function Output({ output }: { output: unknown }) {
  const text = JSON.stringify(output, null, 2);
  return (
    <Section title="Output" side={<CopyButton text={text} what="Output" />}>
      {/* what scrolls must be reached by keys, hence the tabIndex */}
      <section
        tabIndex={0}
        aria-label="The provider's output"
        className="max-h-60 overflow-auto rounded-s bg-raised p-3"
      >
        <pre className="whitespace-pre-wrap break-words font-mono text-12">{text}</pre>
      </section>
    </Section>
  );
}

export function Calls({ attempts }: { attempts: Attempt[] }) {
  return (
    <ul className="grid gap-2">
      {attempts.map((call) => (
        <li key={call.call_id} className="text-13">
          <p className="flex justify-between gap-2">
            <span>
              Call {call.number}: {call.state}
            </span>
            <span className="text-muted">
              {call.finished_at && span(Date.parse(call.finished_at) - Date.parse(call.created_at))}
              {call.cost_usd !== null && ` · ${usd(call.cost_usd)}`}
            </span>
          </p>
          {call.provider_ref && <p className="font-mono text-12 text-muted">{call.provider_ref}</p>}
          {call.may_be_charged && <p className="text-12 text-bad">May be charged: nobody could find out</p>}
          {call.error && <p className="text-12 text-muted">{sentence(call.error)}</p>}
          {call.seen && <p className="text-12 text-muted">Seen: {call.seen}</p>}
        </li>
      ))}
    </ul>
  );
}

/** What the job cost, in words. */
export function costWords({ cost }: Pick<JobDetail, "cost">, free: boolean): string {
  if (free || cost.calls === 0) return "Nothing";
  if (cost.usd !== null) return `${usd(cost.usd)}, ${count(cost.calls, "call")}`;
  return `${count(cost.calls, "call")}; the provider names no price`;
}

const DIALECTS = { curl: asCurl, Python: asPython };

export function AsCode({ job }: { job: JobDetail }) {
  const [dialect, setDialect] = useState<keyof typeof DIALECTS>("curl");
  const code = DIALECTS[dialect](job, location.origin + apiPrefix());
  return (
    <Section
      title="As code"
      side={
        <div className="flex gap-1">
          {(Object.keys(DIALECTS) as (keyof typeof DIALECTS)[]).map((name) => (
            <Button
              key={name}
              look="quiet"
              size="s"
              aria-pressed={dialect === name}
              className={cn(dialect === name && "bg-raised text-text")}
              onClick={() => setDialect(name)}
            >
              {name}
            </Button>
          ))}
          <CopyButton text={code} what={`${dialect} code`} />
        </div>
      }
    >
      {/* what scrolls must be reached by keys, hence the tabIndex */}
      <section
        tabIndex={0}
        aria-label={`The request as ${dialect}`}
        className="max-h-60 overflow-auto rounded-s bg-raised p-3"
      >
        <pre className="font-mono text-12">{code}</pre>
      </section>
    </Section>
  );
}
