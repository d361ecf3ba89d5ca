import { commands } from "@/shared/lib/commands";
import { useStore } from "@/shared/lib/store";
import { Dialog } from "@/shared/ui/dialog";
import { Kbd } from "@/shared/ui/kbd";

/** All keys that work on this page. */
export function Help({ onClose }: { onClose: () => void }) {
  const all = useStore(commands).filter(({ keys }) => keys);
  const groups = [...new Set(all.map(({ group }) => group))];
  return (
    <Dialog open onClose={onClose} title="Keys">
      <div className="grid gap-5 px-5 pt-3 pb-5">
        {groups.map((group) => (
          <section key={group}>
            <h3 className="pb-1 text-12 text-muted">{group}</h3>
            <dl>
              {all
                .filter((command) => command.group === group)
                .map(({ id, label, keys = "" }) => (
                  <div key={id} className="flex items-center justify-between gap-4 py-1 text-13">
                    <dt>{label}</dt>
                    <dd>
                      <Kbd keys={keys} />
                    </dd>
                  </div>
                ))}
            </dl>
          </section>
        ))}
      </div>
    </Dialog>
  );
}
