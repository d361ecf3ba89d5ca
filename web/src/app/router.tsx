import { BrowserRouter, Navigate, Route, Routes } from "react-router";
import { type Later, later } from "@/shared/lib/later";
import { NotFound } from "./not-found";
import { Shell } from "./shell";

const GeneratePage = later(async () => (await import("@/features/generate/page")).GeneratePage);
const HistoryPage = later(async () => (await import("@/features/history/page")).HistoryPage);
const ArchitecturePage = later(async () => (await import("@/features/architecture/page")).ArchitecturePage);
const JobPage = later(async () => (await import("@/features/job/page")).JobPage);

const FIRST: Record<string, Later<object>> = {
  "": GeneratePage,
  history: HistoryPage,
  architecture: ArchitecturePage,
  jobs: JobPage,
};

/** Load the page of an address. Shown without it, the app would wait half a second before it fills the gap. */
export async function loadPage(path: string): Promise<void> {
  await FIRST[path.split("/")[1] ?? ""]?.load();
}

/** The addresses of the app. `src/mediagen/api/webapp.py` answers a browser that asks for one of them. */
export const Router = () => (
  <BrowserRouter>
    <Routes>
      <Route element={<Shell />}>
        <Route index element={<GeneratePage />} />
        <Route path="history" element={<HistoryPage />} />
        <Route path="architecture" element={<ArchitecturePage />} />
        <Route path="jobs" element={<Navigate to="/history" replace />} />
        <Route path="jobs/:id" element={<JobPage />} />
        <Route path="*" element={<NotFound />} />
      </Route>
    </Routes>
  </BrowserRouter>
);
