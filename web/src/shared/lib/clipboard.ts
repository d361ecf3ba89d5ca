import { toast } from "@/shared/lib/toast";

/** Copy text and say so; return whether it was copied. */
export async function copyText(text: string, what: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    toast(`${what} copied`);
    return true;
  } catch {
    toast(`${what} could not be copied: the browser does not allow it here`, { tone: "bad" });
    return false;
  }
}
