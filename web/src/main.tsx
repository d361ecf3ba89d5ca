import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { loadPage, Router } from "@/app/router";
import { Problem } from "@/shared/api/problem";
import "@/app/style.css";

const TRIES = 2;

const client = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000, // events keep what is shown true
      retry: (failures, error) => failures < TRIES && (!(error instanceof Problem) || error.temporary),
    },
  },
});

const root = document.getElementById("root");
if (!root) throw new Error("index.html has no #root");
const show = () =>
  createRoot(root).render(
    <StrictMode>
      <QueryClientProvider client={client}>
        <Router />
      </QueryClientProvider>
    </StrictMode>,
  );
loadPage(location.pathname).then(show, show); // what failed is tried again when it is shown
