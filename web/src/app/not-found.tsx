import { Link } from "react-router";
import { useTitle } from "@/shared/lib/title";
import { Button } from "@/shared/ui/button";
import { Notice } from "@/shared/ui/states";

export function NotFound() {
  useTitle("Not found");
  return (
    <Notice
      title="There is nothing at this address"
      action={
        <Button asChild look="primary">
          <Link to="/">Make something</Link>
        </Button>
      }
    >
      It may have been deleted, or the address has a slip in it.
    </Notice>
  );
}
