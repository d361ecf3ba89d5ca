import { Slot } from "@radix-ui/react-slot";
import { cva, type VariantProps } from "class-variance-authority";
import type { ComponentProps } from "react";
import { cn } from "@/shared/lib/cn";

const looks = cva(
  "inline-flex shrink-0 select-none items-center justify-center gap-2 whitespace-nowrap rounded-s font-medium transition-[background-color,opacity,color] disabled:opacity-50 aria-disabled:opacity-50 [&_svg]:size-4 [&_svg]:shrink-0",
  {
    variants: {
      look: {
        primary: "bg-accent text-accent-ink hover:not-disabled:brightness-105",
        plain: "border border-edge text-text hover:not-disabled:bg-raised",
        quiet: "text-muted hover:not-disabled:bg-raised hover:not-disabled:text-text",
        danger: "text-muted hover:not-disabled:bg-raised hover:not-disabled:text-bad",
        veil: "bg-veil text-veil-ink",
      },
      size: {
        m: "h-9 px-3 text-13 pointer-coarse:h-10",
        l: "h-10 px-4 text-14",
        s: "h-7 px-2 text-12 pointer-coarse:h-10",
        icon: "size-9 pointer-coarse:size-10",
        "icon-s": "size-7 pointer-coarse:size-10",
      },
    },
    defaultVariants: { look: "plain", size: "m" },
  },
);

export type ButtonProps = ComponentProps<"button"> & VariantProps<typeof looks> & { asChild?: boolean };

export function Button({ look, size, asChild, className, ...props }: ButtonProps) {
  const Tag = asChild ? Slot : "button";
  return (
    <Tag type={asChild ? undefined : "button"} className={cn(looks({ look, size }), className)} {...props} />
  );
}
