import { History } from "lucide-react";
import { type RefObject, useId } from "react";
import { Button } from "@/shared/ui/button";
import { Menu, MenuItem } from "@/shared/ui/menu";

const MOST = 10_000; // characters, as the API takes
const NEAR = 500; // to the limit: from here on they are counted

interface PromptBoxProps {
  box: RefObject<HTMLTextAreaElement | null>;
  prompt: string;
  /** Earlier ones, the newest first. */
  earlier: string[];
  error?: string;
  onChange: (prompt: string) => void;
}

export function PromptBox({ box, prompt, earlier, error, onChange }: PromptBoxProps) {
  const id = useId();
  const wrong = error ?? tooLong(prompt);
  return (
    <div className="relative">
      <label htmlFor={id} className="sr-only">
        Prompt
      </label>
      <textarea
        ref={box}
        id={id}
        dir="auto"
        rows={2}
        placeholder="What do you want to see?"
        value={prompt}
        aria-invalid={wrong ? true : undefined}
        aria-describedby={`${id}-about`}
        onChange={(event) => onChange(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "ArrowUp" && !prompt && earlier[0]) {
            event.preventDefault();
            onChange(earlier[0]);
          }
        }}
        className="field-sizing-content max-h-18 w-full resize-none rounded-m border border-edge bg-surface px-4 py-3 pr-11 text-16 leading-6 aria-invalid:border-bad lg:max-h-66 lg:min-h-30"
      />
      {earlier.length > 0 && (
        <div className="absolute top-1.5 right-1.5">
          <Menu
            button={
              <Button look="quiet" size="icon" aria-label="Earlier prompts">
                <History />
              </Button>
            }
          >
            {earlier.map((text) => (
              <MenuItem key={text} onSelect={() => onChange(text)}>
                <span dir="auto" className="max-w-80 truncate">
                  {text}
                </span>
              </MenuItem>
            ))}
          </Menu>
        </div>
      )}
      <p id={`${id}-about`} className={wrong ? "pt-1 text-12 text-bad" : "text-12 text-muted"}>
        {wrong ?? leftOf(prompt)}
      </p>
    </div>
  );
}

// Nothing is cut off in silence: what is pasted stays whole, and what is too much is said.
function tooLong(prompt: string): string | undefined {
  const over = charactersOf(prompt) - MOST;
  return over > 0
    ? `${over.toLocaleString("en")} characters too many: ${MOST.toLocaleString("en")} are taken`
    : undefined;
}

function leftOf(prompt: string): string {
  const left = MOST - charactersOf(prompt);
  return left < NEAR ? `${left} characters left` : "";
}

// As the API counts: an emoji is one.
function charactersOf(prompt: string): number {
  return prompt.length > MOST - NEAR ? [...prompt].length : prompt.length;
}
