import { File, Film, Music } from "lucide-react";
import { useState } from "react";
import { type Artifact, atWork, type Job } from "@/shared/api/jobs";
import { cn } from "@/shared/lib/cn";

interface PrintProps {
  job: Job;
  /** None yet: the paper lies in the tray. */
  artifact?: Artifact;
  /** A small one serves for tiles. */
  small?: boolean;
  className?: string;
}

/** A print: blank paper under a sweep of safelight while it is made, then the picture develops on it. Fills its place. */
export function Print({ job, artifact, small, className }: PrintProps) {
  return (
    <div className={cn("relative size-full overflow-hidden bg-paper", className)}>
      {atWork(job) && <Sweep />}
      {artifact?.placeholder && (
        <img
          src={artifact.placeholder}
          alt=""
          className={cn("absolute inset-0 size-full scale-110 object-cover", !small && "blur-lg")}
        />
      )}
      {artifact && <Media key={artifact.key} job={job} artifact={artifact} small={small} />}
    </div>
  );
}

const Sweep = () => (
  <div
    aria-hidden="true"
    className="absolute inset-0 animate-sweep bg-[linear-gradient(90deg,transparent,var(--sweep),transparent)]"
  />
);

function Media({ job, artifact, small }: PrintProps & { artifact: Artifact }) {
  const [sharp, setSharp] = useState(false);
  if (artifact.kind === "image" && artifact.media_type !== "image/svg+xml") {
    return (
      <img
        src={small ? (artifact.thumbnail_url ?? artifact.url) : artifact.url}
        alt={job.prompt}
        width={artifact.width ?? undefined}
        height={artifact.height ?? undefined}
        loading={small ? "lazy" : "eager"}
        decoding="async"
        data-sharp={sharp}
        onLoad={() => setSharp(true)}
        className={cn(
          "absolute inset-0 size-full object-cover ease-out",
          // Blur is costly to paint: a gallery that is scrolled does without.
          small ? "transition-opacity duration-200" : "transition-[opacity,filter] duration-400",
          sharp ? "opacity-100" : "opacity-0",
          !small && (sharp ? "blur-none" : "blur-lg"),
        )}
      />
    );
  }
  if (artifact.kind === "video" && !small) {
    return (
      <video
        src={artifact.url}
        controls
        loop
        playsInline
        aria-label={job.prompt}
        className="absolute inset-0 size-full"
      />
    );
  }
  if (artifact.kind === "audio" && !small) {
    return (
      <div className="absolute inset-0 grid place-items-center p-6">
        <audio src={artifact.url} controls aria-label={job.prompt} className="w-full" />
      </div>
    );
  }
  const Icon = { video: Film, audio: Music }[artifact.kind] ?? File;
  return (
    <div className="absolute inset-0 grid place-content-center justify-items-center gap-2 text-muted">
      <Icon aria-hidden="true" className="size-6" />
      <span className="font-mono text-12">{artifact.media_type}</span>
    </div>
  );
}
