import { queryOptions } from "@tanstack/react-query";
import { api, data } from "./client";
import { Problem, type Schemas } from "./problem";

export type Model = Schemas["ModelOut"];
export type Stats = Schemas["StatsOut"];
export type Health = Schemas["HealthOut"];
export type System = Schemas["SystemOut"];

export const systemKeys = {
  models: ["models"] as const,
  stats: ["stats"] as const,
  health: ["health"] as const,
  system: ["system"] as const,
};

const MODELS_FRESH_MS = 60_000;

/** The models that can be used, and whether only the mock is there. */
export const modelList = () =>
  queryOptions({
    queryKey: systemKeys.models,
    queryFn: ({ signal }) => data(api.GET("/api/v1/models", { signal })),
    staleTime: MODELS_FRESH_MS,
  });

/** The numbers of this moment; the caller says how often. */
export const stats = () =>
  queryOptions({
    queryKey: systemKeys.stats,
    queryFn: ({ signal }) => data(api.GET("/api/v1/stats", { signal })),
  });

/** What the installation is made of, and its last hour. */
export const system = () =>
  queryOptions({
    queryKey: systemKeys.system,
    queryFn: ({ signal }) => data(api.GET("/api/v1/system", { signal })),
  });

/** The health of every part, also when one fails (503). */
export const health = () =>
  queryOptions({
    queryKey: systemKeys.health,
    queryFn: async ({ signal }): Promise<Health> => {
      const answer = await api.GET("/api/v1/health", { signal }).catch(() => {
        throw Problem.away();
      });
      const body = answer.data ?? (answer.error as Health | undefined);
      if (!body || !("components" in body)) throw new Problem(answer.response.status, {});
      return body;
    },
  });
