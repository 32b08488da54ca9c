// The page's entry: finds the data and shows the view that it is for.
import { render } from "preact";
import { unpack, isLive } from "./payload";
import { mountStepper } from "./stepper";

const app = document.getElementById("app") as HTMLElement;
const text = document.getElementById("payload")?.textContent?.trim() ?? "";
if (!isLive(text) && text !== "@PAYLOAD" + "@") {
  const payload = await unpack(text);
  document.title = payload.title;
  if (payload.walks?.[0]) mountStepper(app, payload.walks[0]);
} else {
  render(<p>no data</p>, app);
}
