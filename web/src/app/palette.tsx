import { Command } from "cmdk";
import { commands } from "@/shared/lib/commands";
import { useStore } from "@/shared/lib/store";
import { Dialog } from "@/shared/ui/dialog";
import { Kbd } from "@/shared/ui/kbd";

/** All that can be done here, by name. */
export function Palette({ onClose }: { onClose: () => void }) {
  const all = useStore(commands).filter(({ keyOnly }) => !keyOnly);
  const groups = [...new Set(all.map(({ group }) => group))];
  return (
    <Dialog open onClose={onClose} title="Commands" quiet className="overflow-hidden">
      <Command label="Commands" loop>
        <Command.Input
          autoFocus
          placeholder="What do you want to do?"
          className="w-full border-line border-b bg-transparent px-5 py-4 text-16 outline-none"
        />
        <Command.List className="max-h-[50dvh] overflow-auto p-2">
          <Command.Empty className="px-3 py-6 text-center text-13 text-muted">
            Nothing of that name.
          </Command.Empty>
          {groups.map((group) => (
            <Command.Group
              key={group}
              heading={group}
              className="[&_[cmdk-group-heading]]:px-3 [&_[cmdk-group-heading]]:py-1 [&_[cmdk-group-heading]]:text-12 [&_[cmdk-group-heading]]:text-muted"
            >
              {all
                .filter((command) => command.group === group)
                .map((command) => (
                  <Command.Item
                    key={command.id}
                    value={command.label}
                    onSelect={() => {
                      onClose();
                      command.run();
                    }}
                    className="flex h-10 cursor-pointer items-center justify-between rounded-s px-3 text-13 data-[selected=true]:bg-raised"
                  >
                    {command.label}
                    {command.keys && <Kbd keys={command.keys} className="text-muted" />}
                  </Command.Item>
                ))}
            </Command.Group>
          ))}
        </Command.List>
      </Command>
    </Dialog>
  );
}
