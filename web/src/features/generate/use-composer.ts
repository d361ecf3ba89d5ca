import { useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useMemo, useRef, useState } from "react";
import { useSearchParams } from "react-router";
import type { Job } from "@/shared/api/jobs";
import { newKey } from "@/shared/api/jobs";
import { draftId, send } from "@/shared/api/outbox";
import { type FieldError, Problem } from "@/shared/api/problem";
import { type Model, modelList } from "@/shared/api/system";
import { useStore } from "@/shared/lib/store";
import { toast } from "@/shared/lib/toast";
import { type Composer, composer, fill, Refusal, requestOf } from "./composer";
import { readForm } from "./schema";

const TWICE_MS = 500; // a second submit so soon is a double click, and would be paid for

/** The form's state and what submitting does. `onSelect` shows a job on the stage. */
export function useComposer(onSelect: (id: string, before?: string) => void) {
  const client = useQueryClient();
  const { data, isPending } = useQuery(modelList());
  const { model: wanted } = useStore(composer);
  const [errors, setErrors] = useState<FieldError[]>([]);
  const submittedAt = useRef(0);
  const models = useMemo(() => data?.items ?? [], [data]);
  const { chosen, model, form } = useMemo(() => choiceOf(models, wanted), [models, wanted]);
  useFillFromAddress(data !== undefined);

  /** Without its model's schema a value has no place; a prompt alone can go, and waits for a server that is away. */
  async function modelsFor({ values, extra }: Composer): Promise<Model[]> {
    try {
      return (await client.ensureQueryData(modelList())).items;
    } catch (error) {
      if (extra || Object.values(values).some((value) => value !== undefined)) throw error;
      return [];
    }
  }

  async function submit(): Promise<void> {
    if (Date.now() - submittedAt.current < TWICE_MS) return;
    submittedAt.current = Date.now();
    setErrors([]);
    try {
      const items = await modelsFor(composer.get());
      const now = composer.get();
      const choice = choiceOf(items, now.model);
      const request = requestOf({ ...now, model: choice.chosen }, choice.form);
      const key = newKey();
      const sent = send(client, request, key);
      onSelect(draftId(key));
      onSelect((await sent).id, draftId(key));
    } catch (error) {
      submittedAt.current = 0;
      setErrors(errorsOf(error));
    }
  }

  return {
    isPending,
    models,
    model,
    chosen,
    form,
    errors,
    submit,
    mockMode: data?.mock_mode ?? false,
    connectWith: data?.connect_with ?? [],
  };

  /** `/?prompt=...&model=...&parameters={...}` fills the form once the models are known; then the address is plain again. */
  function useFillFromAddress(ready: boolean): void {
    const [query, setQuery] = useSearchParams();
    useEffect(() => {
      if (!ready || query.size === 0) return;
      const asked = requestIn(query);
      const schema = models.find(({ id }) => id === (asked.model ?? chosen))?.input_schema;
      fill(asked, readForm(schema));
      setErrors([]);
      setQuery({}, { replace: true });
    }, [ready, query, setQuery]);
  }
}

/** The model that is wanted, or else the server's default, and its form. */
function choiceOf(models: Model[], wanted: string) {
  const chosen = wanted || models.find((model) => model.default)?.id || "";
  const model = models.find(({ id }) => id === chosen);
  return { chosen, model, form: readForm(model?.input_schema) };
}

/** Read a request out of the address; parameters stand there as JSON, or one by one. */
export function requestIn(query: URLSearchParams): Partial<Pick<Job, "prompt" | "model" | "parameters">> {
  const { prompt, model, parameters, ...single } = Object.fromEntries(query);
  const read = (text: string): unknown => {
    try {
      return JSON.parse(text);
    } catch {
      return text;
    }
  };
  const whole = parameters ? read(parameters) : {};
  const readable = typeof whole === "object" && whole !== null && !Array.isArray(whole);
  if (!readable) toast("The parameters in the address could not be read", { tone: "bad" });
  const each = Object.fromEntries(Object.entries(single).map(([name, text]) => [name, read(text)]));
  return { prompt, model, parameters: { ...(readable && whole), ...each } };
}

function errorsOf(error: unknown): FieldError[] {
  if (error instanceof Refusal) return error.fields;
  if (error instanceof Problem && error.fields.length > 0) return error.fields;
  return [{ field: "", message: error instanceof Error ? error.message : String(error) }];
}
