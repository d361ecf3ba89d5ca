import { createStoredStore } from "@/shared/lib/storage";

export const DENSITIES = [
  { value: "small", label: "Small", height: 120 },
  { value: "medium", label: "Medium", height: 210 },
  { value: "large", label: "Large", height: 340 },
] as const;

export type Density = (typeof DENSITIES)[number]["value"];

/** How large pictures stand in the gallery. */
export const density = createStoredStore<Density>("density", "medium");

/** The height of a row that is aimed at: on a narrow page two upright pictures still fit beside each other. */
export function rowHeight(value: Density, width: number): number {
  const height = DENSITIES.find((one) => one.value === value)?.height ?? 210;
  return Math.min(height, Math.max(90, width * 0.55));
}
