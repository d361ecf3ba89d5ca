import type { System } from "@/shared/api/system";

/** One step by which an installation grows. */
export type Step = { title: string; why: string; settings: string; done: boolean };

/** What to change to grow, and what of it is done here. Commands and settings stand in docs/how-to/scale-out.md. */
export const stepsOf = (system: System): Step[] => [
  {
    title: "Connect a provider",
    why: "Without one, pictures are drawn here by a mock: all else is real.",
    settings: "REPLICATE_API_TOKEN=r8_...",
    done: !system.mock_mode,
  },
  {
    title: "Keep jobs in PostgreSQL",
    why: "Several API processes and workers share one queue; a dead worker's jobs are taken over at once.",
    settings: "DATABASE_URL=postgresql://user:password@host/mediagen",
    done: system.database === "postgresql",
  },
  {
    title: "Run workers of their own",
    why: "As many as there is work for, on any machine. Celery rings them; without it they look every second.",
    settings: "REDIS_URL=redis://host:6379/0\nmediagen serve --no-worker\nmediagen worker",
    done: system.broker !== "in-process",
  },
  {
    title: "Keep pictures in S3",
    why: "Any service that speaks it. While it is away, outputs are kept aside and none is lost.",
    settings:
      "STORAGE_TYPE=s3\nS3_ENDPOINT=https://host\nS3_BUCKET=mediagen\nS3_ACCESS_KEY=...\nS3_SECRET_KEY=...",
    done: system.storage === "s3",
  },
];
