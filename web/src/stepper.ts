// The stepper: walks through a walk document, forward and back.
import type { WalkDocument } from "./walk";

/** Show *walk* inside *element*; the function that is returned takes it away again. */
export function mountStepper(element: HTMLElement, walk: WalkDocument): () => void {
  element.textContent = `${walk.title}: ${walk.steps.length}`;
  return () => element.replaceChildren();
}
