import { Command as CommandIcon, Monitor, Moon, Sun } from "lucide-react";
import { Link, NavLink } from "react-router";
import { useStore } from "@/shared/lib/store";
import { THEMES, type Theme, theme } from "@/shared/lib/theme";
import { Button } from "@/shared/ui/button";
import { Menu, MenuChoice } from "@/shared/ui/menu";
import { Tooltip } from "@/shared/ui/tooltip";
import { TABS } from "./nav";

const THEME_LOOKS = {
  system: { icon: Monitor, label: "As the system" },
  dark: { icon: Moon, label: "Dark" },
  light: { icon: Sun, label: "Light" },
};

export function TopBar({ onPalette }: { onPalette: () => void }) {
  return (
    <header className="sticky top-0 z-30 flex h-13 items-center gap-1 border-line border-b bg-bg px-3 sm:gap-4 sm:px-6">
      <Link to="/" className="hidden items-center gap-2 rounded-s font-semibold text-14 sm:flex">
        <Mark />
        mediagen
      </Link>
      <nav aria-label="Pages" className="flex flex-1 gap-1">
        {TABS.map((tab) => (
          <Tooltip key={tab.path} text={`Go to ${tab.label}`} keys={tab.keys}>
            <NavLink
              to={tab.path}
              end
              className="relative flex h-10 items-center rounded-s px-2 text-13 text-muted transition-colors hover:text-text aria-[current=page]:text-text aria-[current=page]:after:absolute aria-[current=page]:after:inset-x-2 aria-[current=page]:after:-bottom-1.5 aria-[current=page]:after:h-px aria-[current=page]:after:bg-lit sm:px-3 sm:aria-[current=page]:after:inset-x-3"
            >
              {tab.label}
            </NavLink>
          </Tooltip>
        ))}
      </nav>
      <Tooltip text="Commands" keys="mod+k">
        <Button look="quiet" size="icon" aria-label="Open the command palette" onClick={onPalette}>
          <CommandIcon />
        </Button>
      </Tooltip>
      <ThemeMenu />
    </header>
  );
}

function ThemeMenu() {
  const chosen = useStore(theme);
  const Icon = THEME_LOOKS[chosen].icon;
  const choices = THEMES.map((value) => {
    const look = THEME_LOOKS[value];
    const label = (
      <>
        <look.icon />
        {look.label}
      </>
    );
    return { value, label };
  });
  return (
    <Menu
      button={
        <Button look="quiet" size="icon" aria-label={`Theme: ${THEME_LOOKS[chosen].label}`}>
          <Icon />
        </Button>
      }
    >
      <MenuChoice<Theme> label="Theme" value={chosen} choices={choices} onChange={theme.set} />
    </Menu>
  );
}

const Mark = () => (
  <svg aria-hidden="true" viewBox="0 0 20 20" className="size-5">
    <rect
      x="1.75"
      y="3.75"
      width="16.5"
      height="12.5"
      rx="2.25"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
    />
    <circle cx="10" cy="10" r="2.75" className="fill-lit" />
  </svg>
);
