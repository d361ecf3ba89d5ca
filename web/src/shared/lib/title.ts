import { useEffect } from "react";

/** Name the page in the browser's tab. */
export function useTitle(name: string): void {
  useEffect(() => {
    document.title = name ? `${name} · mediagen` : "mediagen";
  }, [name]);
}
