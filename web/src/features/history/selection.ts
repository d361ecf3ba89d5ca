import { createStore } from "@/shared/lib/store";

/** The chosen jobs by id, and the one from which a range is counted. */
interface Selection {
  ids: ReadonlySet<string>;
  from: string | null;
}

const EMPTY: Selection = { ids: new Set(), from: null };

export const selection = createStore<Selection>(EMPTY);
export const clearSelection = () => selection.set(EMPTY);

/** Choose or drop one job; with `range`, choose all from the last one to this. `order` is how they stand. */
export function select(id: string, order: string[], range: boolean): void {
  selection.set(({ ids, from }) => {
    const next = new Set(ids);
    const [first, last] = [order.indexOf(from ?? ""), order.indexOf(id)].sort((a, b) => a - b) as [
      number,
      number,
    ];
    if (range && first >= 0) for (const chosen of order.slice(first, last + 1)) next.add(chosen);
    else if (!next.delete(id)) next.add(id);
    return { ids: next, from: id };
  });
}

/** Choose all of these. */
export const selectAll = (order: string[]) => selection.set({ ids: new Set(order), from: null });
