import type { ComponentType } from "react";
import type { FieldKind } from "@/features/generate/schema";
import { Chips } from "./chips";
import {
  ChoiceControl,
  JsonControl,
  NumberControl,
  RangeControl,
  SeedControl,
  SwitchControl,
  TextControl,
} from "./controls";
import type { ControlProps } from "./field";
import { ImageControl } from "./image-control";

const CONTROLS: Record<FieldKind, ComponentType<ControlProps>> = {
  shape: Chips,
  count: Chips,
  seed: SeedControl,
  image: ImageControl,
  images: ImageControl,
  choice: ChoiceControl,
  switch: SwitchControl,
  range: RangeControl,
  number: NumberControl,
  text: TextControl,
  json: JsonControl,
};

/** The control that fits the field. */
export function Control(props: ControlProps) {
  const Fitting = CONTROLS[props.field.kind];
  return <Fitting {...props} />;
}
