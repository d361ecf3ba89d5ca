import { Check, Copy } from "lucide-react";
import { useEffect, useState } from "react";
import { copyText } from "@/shared/lib/clipboard";
import { Button } from "./button";

const NOTED_MS = 1500;

/** Copies text; `what` names it, as "Prompt". */
export function CopyButton({ text, what, label }: { text: string; what: string; label?: string }) {
  const [noted, setNoted] = useState(false);
  useEffect(() => {
    if (!noted) return;
    const timer = setTimeout(() => setNoted(false), NOTED_MS);
    return () => clearTimeout(timer);
  }, [noted]);
  const copy = async () => {
    if (await copyText(text, what)) setNoted(true);
  };
  return (
    <Button
      look="quiet"
      size={label ? "s" : "icon-s"}
      aria-label={`Copy ${what.toLowerCase()}`}
      onClick={copy}
    >
      {noted ? <Check /> : <Copy />}
      {label}
    </Button>
  );
}
