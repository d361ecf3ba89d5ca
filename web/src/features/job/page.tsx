import { useQuery } from "@tanstack/react-query";
import { ArrowLeft, Link as LinkIcon } from "lucide-react";
import { Link, useNavigate, useParams } from "react-router";
import { JobPanel } from "@/entities/job/panel";
import { Sheet } from "@/entities/job/sheet";
import { statusWords } from "@/entities/job/words";
import { jobDetail } from "@/shared/api/jobs";
import { Problem } from "@/shared/api/problem";
import { modelList } from "@/shared/api/system";
import { copyText } from "@/shared/lib/clipboard";
import { useCommands } from "@/shared/lib/commands";
import { useTitle } from "@/shared/lib/title";
import { Button } from "@/shared/ui/button";
import { Failure, Notice, Skeleton } from "@/shared/ui/states";

/** All about one job, at an address that can be shared. */
export function JobPage() {
  const { id = "" } = useParams();
  const navigate = useNavigate();
  const { data: job, error, refetch } = useQuery(jobDetail(id));
  const models = useQuery(modelList()).data;
  useTitle(job ? `${job.prompt.slice(0, 60)} · ${statusWords(job)}` : "Job");
  const copyLink = () => copyText(`${location.origin}/jobs/${id}`, "Link");
  useCommands([
    { id: "link", label: "Copy the link to this job", group: "This job", keys: "l", run: copyLink },
  ]);

  if (error instanceof Problem && error.status === 404) return <Gone />;
  if (error && !job) return <Failure error={error} onRetry={refetch} />;
  if (!job) return <Skeleton className="m-6 h-[60dvh]" />;
  const usualS = models?.items.find((model) => model.id === job.model)?.typical_s;
  return (
    <article className="lg:grid lg:grid-cols-[1fr_400px]">
      <div className="lg:sticky lg:top-13 lg:flex lg:h-[calc(100dvh-52px)] lg:flex-col">
        <div className="flex items-center justify-between px-3 py-2 sm:px-6">
          <Button asChild look="quiet" size="s">
            <Link to="/history">
              <ArrowLeft />
              History
            </Link>
          </Button>
          <Button look="quiet" size="s" onClick={copyLink}>
            <LinkIcon />
            Copy link
          </Button>
        </div>
        <div className="grid flex-1 place-items-center px-4 pb-6 sm:px-6">
          <Sheet job={job} maxHeight="max(240px, 100dvh - 140px)" />
        </div>
      </div>
      <div className="border-line px-4 py-5 sm:px-6 lg:border-l">
        <h1 className="sr-only">Job: {job.prompt.slice(0, 100)}</h1>
        <JobPanel
          job={job}
          free={models?.mock_mode ?? false}
          usualMs={usualS && usualS * 1000}
          onRetried={(fresh) => navigate(`/jobs/${fresh.id}`)}
          onDeleted={() => navigate("/history")}
        />
      </div>
    </article>
  );
}

const Gone = () => (
  <Notice
    title="There is no such job"
    action={
      <Button asChild look="primary">
        <Link to="/history">See the others</Link>
      </Button>
    }
  >
    It was deleted, or the address has a slip in it.
  </Notice>
);
