import { afterEach, vi } from "vitest";

// files that say `@vitest-environment node` have no page
if (globalThis.document) {
  const { cleanup } = await import("@testing-library/react");
  stubLayout();
  afterEach(() => {
    cleanup();
    localStorage.clear();
  });
}

/** jsdom lays nothing out; what the libraries ask for has to be there all the same. */
function stubLayout(): void {
  globalThis.ResizeObserver ??= class {
    observe() {}
    unobserve() {}
    disconnect() {}
  };
  Element.prototype.scrollIntoView ??= () => {};
  Element.prototype.hasPointerCapture ??= () => false;
  Element.prototype.setPointerCapture ??= () => {};
  Element.prototype.releasePointerCapture ??= () => {};
  globalThis.matchMedia ??= (media) =>
    ({ matches: false, media, addEventListener() {}, removeEventListener() {} }) as unknown as MediaQueryList;
  globalThis.scrollTo = vi.fn();
}
