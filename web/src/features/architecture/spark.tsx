/** A line of the last values; the newest is at the right. Says nothing to readers: the facts beside it do. */
export function Spark({ values, className = "" }: { values: number[]; className?: string }) {
  const top = Math.max(1, ...values);
  const points = values.map(
    (value, index) => `${(index / Math.max(1, values.length - 1)) * 100},${23 - (value / top) * 21}`,
  );
  return (
    <svg
      aria-hidden="true"
      viewBox="0 0 100 24"
      preserveAspectRatio="none"
      className={`h-6 w-full ${className}`}
    >
      {points.length > 1 && (
        <polyline
          points={points.join(" ")}
          fill="none"
          stroke="var(--muted)"
          strokeWidth="1.25"
          vectorEffect="non-scaling-stroke"
        />
      )}
    </svg>
  );
}
