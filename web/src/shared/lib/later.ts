import { type ComponentType, createElement, type FunctionComponent, lazy, useState } from "react";

type Load<P> = () => Promise<ComponentType<P>>;

/** A component whose code comes later; `load` brings it now. */
export type Later<P> = FunctionComponent<P> & { load: () => Promise<void> };

const parts: (() => Promise<void>)[] = [];

/** A part that is loaded when it is first shown, or before, while the browser has nothing else to do. */
export function later<P extends object>(fetched: Load<P>): Later<P> {
  let ready: ComponentType<P> | undefined;
  const get = async () => {
    ready = await fetched();
    return ready;
  };
  const Waiting = lazy(async () => ({ default: await get() })) as unknown as ComponentType<P>;
  const Part: FunctionComponent<P> = (props) => {
    const [Shown] = useState(() => ready ?? Waiting); // what is there already needs no second look
    return createElement(Shown, props);
  };
  const load = async () => void (await get());
  parts.push(load);
  return Object.assign(Part, { load });
}

/** Load all such parts while the browser is idle: they are there, then, while the server is away. */
export function loadParts(): () => void {
  const load = () => {
    for (const part of parts) part().catch(() => undefined); // it is tried again when it is shown
  };
  if (!("requestIdleCallback" in window)) {
    const timer = setTimeout(load, 1000);
    return () => clearTimeout(timer);
  }
  const idle = requestIdleCallback(load, { timeout: 3000 });
  return () => cancelIdleCallback(idle);
}
