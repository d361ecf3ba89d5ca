import { Component, type ReactNode } from "react";
import { Button } from "@/shared/ui/button";
import { Notice } from "@/shared/ui/states";

interface CrashGuardProps {
  /** Another value gives the page another chance. */
  place: string;
  children: ReactNode;
}

/** Shows, instead of a page that broke, how to go on: the jobs are on the server, nothing is lost. */
export class CrashGuard extends Component<CrashGuardProps, { error: unknown; place: string }> {
  override state = { error: null, place: this.props.place };

  static getDerivedStateFromError = (error: unknown) => ({ error });

  static getDerivedStateFromProps = ({ place }: CrashGuardProps, state: { place: string }) =>
    place === state.place ? null : { place, error: null };

  override render() {
    return this.state.error ? <Crash error={this.state.error} /> : this.props.children;
  }
}

function Crash({ error }: { error: unknown }) {
  const outdated = error instanceof TypeError && /import|module/i.test(error.message);
  return (
    <Notice
      title={outdated ? "This part could not be loaded" : "This page broke"}
      action={
        <Button look="primary" onClick={() => location.reload()}>
          Load it again
        </Button>
      }
    >
      {outdated
        ? "The server is away, or mediagen was updated."
        : `Your jobs are safe on the server. (${String(error)})`}
    </Notice>
  );
}
