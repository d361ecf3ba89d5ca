import city from "./examples/city.webp";
import mountains from "./examples/mountains.webp";
import portrait from "./examples/portrait.webp";
import poster from "./examples/poster.webp";

/** Painted by the mock provider. */
const EXAMPLES = [
  { prompt: "Misty mountains at dawn", shape: "3:2", picture: mountains },
  { prompt: "A bold portrait with a crown of leaves", shape: "2:3", picture: portrait },
  { prompt: "A city at night in the rain, neon on wet streets", shape: "16:9", picture: city },
  { prompt: "Abstract geometric poster, three colors", shape: "1:1", picture: poster },
];

const ratioOf = (shape: string) => {
  const [across = 1, down = 1] = shape.split(":").map(Number);
  return across / down;
};

interface ExamplesProps {
  onPick: (prompt: string, shape: string) => void;
}

/** The stage before the first job: pictures that fill the composer. */
export function Examples({ onPick }: ExamplesProps) {
  return (
    <section className="mx-auto w-full max-w-4xl px-4 py-8 sm:px-6 lg:py-14">
      <h1 className="font-semibold text-28 tracking-tight">Nothing developed yet</h1>
      <p className="pt-1 pb-6 text-14 text-muted">Write what you want to see, or start from one of these.</p>
      <ul className="grid grid-cols-2 gap-2 lg:flex lg:h-64">
        {EXAMPLES.map(({ prompt, shape, picture }) => (
          <li key={prompt} className="aspect-square lg:aspect-auto" style={{ flex: `${ratioOf(shape)} 1 0` }}>
            <button
              type="button"
              onClick={() => onPick(prompt, shape)}
              className="group relative block size-full overflow-hidden rounded-s"
            >
              <img src={picture} alt="" className="size-full object-cover" />
              <span className="absolute inset-x-0 bottom-0 bg-veil px-3 py-2 text-left text-12 text-veil-ink">
                {prompt}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}
