import { ImagePlus, X } from "lucide-react";
import { type DragEvent, useState } from "react";
import { cn } from "@/shared/lib/cn";
import { pictureAsDataUrl, pictureOf } from "@/shared/lib/picture";
import { Button } from "@/shared/ui/button";
import { type ControlProps, FieldFrame } from "./field";

const MOST_BYTES = 680_000; // of all pictures of a field together, as text: a request holds a million
const MOST_PICTURES = 4;

/** One picture or several to be sent along: dropped, pasted, chosen, or dragged from the gallery. */
export function ImageControl({ field, value, onChange, error }: ControlProps) {
  const [trouble, setTrouble] = useState("");
  const [over, setOver] = useState(false);
  const many = field.kind === "images";
  const pictures = (Array.isArray(value) ? value : value ? [value] : []) as string[];
  const set = (next: string[]) => onChange(next.length === 0 ? undefined : many ? next : next[0]);

  async function add(found: Promise<Blob | null> | Blob | null | undefined): Promise<void> {
    setTrouble("");
    try {
      const blob = await found;
      if (!blob) return setTrouble("There is no picture in this.");
      const url = await pictureAsDataUrl(blob, many ? MOST_BYTES / MOST_PICTURES : MOST_BYTES);
      set(many ? [...new Set([...pictures, url])].slice(-MOST_PICTURES) : [url]);
    } catch (problem) {
      setTrouble(problem instanceof Error ? problem.message : String(problem));
    }
  }

  function drop(event: DragEvent): void {
    event.preventDefault();
    event.stopPropagation();
    setOver(false);
    void add(pictureOf(event.dataTransfer));
  }

  return (
    <FieldFrame title={field.title} help={field.description} error={error ?? (trouble || undefined)}>
      {(ids) => (
        <fieldset
          aria-label={field.title}
          aria-describedby={ids["aria-describedby"]}
          data-image-field={field.name}
          onDragOver={(event) => {
            event.preventDefault();
            setOver(true);
          }}
          onDragLeave={() => setOver(false)}
          onDrop={drop}
          className={cn(
            "flex flex-wrap gap-2 rounded-s border border-edge border-dashed p-2",
            over && "border-lit bg-raised",
          )}
        >
          {pictures.map((url) => (
            <div key={url} className="relative">
              <img
                src={url}
                alt={`${field.title}, to be sent along`}
                className="h-20 max-w-40 rounded-s object-cover"
              />
              <Button
                look="veil"
                size="icon-s"
                aria-label={`Remove the picture from ${field.title}`}
                className="absolute top-1 right-1"
                onClick={() => set(pictures.filter((other) => other !== url))}
              >
                <X />
              </Button>
            </div>
          ))}
          {(many || pictures.length === 0) && (
            <label className="flex min-h-16 flex-1 items-center justify-center gap-2 rounded-s px-3 text-12 text-muted hover:text-text has-focus-visible:outline-2 has-focus-visible:outline-ring">
              <ImagePlus aria-hidden="true" className="size-4" />
              Drop, paste or choose a picture
              <input
                {...ids}
                type="file"
                accept="image/*"
                className="sr-only"
                onChange={(event) => {
                  void add(event.target.files?.[0]);
                  event.target.value = "";
                }}
              />
            </label>
          )}
        </fieldset>
      )}
    </FieldFrame>
  );
}
