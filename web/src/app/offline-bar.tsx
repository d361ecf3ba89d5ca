import { useEffect, useState } from "react";
import { connection } from "@/shared/api/live";
import { useStore } from "@/shared/lib/store";

const PATIENCE_MS = 400; // a blink of the connection is no news

/** A thin bar while the server is away. */
export function OfflineBar() {
  const away = useStore(connection) === "away";
  const [shown, setShown] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setShown(away), away ? PATIENCE_MS : 0);
    return () => clearTimeout(timer);
  }, [away]);
  return (
    <div role="status">
      {shown && (
        <p className="border-line border-b bg-raised px-6 py-2 text-center text-13">
          Reconnecting; nothing is lost. What you submit now is sent once the server is back.
        </p>
      )}
    </div>
  );
}
