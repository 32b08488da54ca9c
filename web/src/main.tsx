// The page's entry: finds the data and shows the view that it is for.
import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { App, Switches } from "./app";
import { follow } from "./live";
import { isLive, unpack } from "./payload";
import { payload } from "./state";
import { mountStepper } from "./stepper";
import type { WalkDocument } from "./walk";
import "./style.css";

function Walks({ title, walks }: { title: string; walks: WalkDocument[] }) {
  const place = useRef<HTMLDivElement>(null);
  useEffect(() => {
    const stops = walks.map((walk) => mountStepper(place.current!.appendChild(document.createElement("div")), walk));
    return () => stops.forEach((stop) => stop());
  }, [walks]);
  return (
    <>
      <header class="top"><h1>{title}</h1><div class="right"><Switches /></div></header>
      <main><div id="view" class="stepper" ref={place} /></main>
    </>
  );
}

const app = document.getElementById("app") as HTMLElement;
const text = document.getElementById("payload")?.textContent?.trim() ?? "";
if (isLive(text)) {
  render(<App />, app);
  void follow();
} else {
  const data = await unpack(text);
  document.title = data.title;
  if (data.walks) render(<Walks title={data.title} walks={data.walks} />, app);
  else {
    payload.value = data;
    render(<App />, app);
  }
}
