// The page's entry: finds the data and shows the view that it is for.
import { render } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { App, Switches } from "./app";
import { follow } from "./live";
import { isLive, unpack } from "./payload";
import { payload, view } from "./state";
import { mountStepper } from "./stepper";
import { unpackWalk } from "./walk";
import type { WalkDocument } from "./walk";
import { language } from "./words";
import "./style.css";

/** Walks of one run in several languages: the one in the reader's is shown, at the step of the address (`#12`). */
function Walks({ walks }: { walks: WalkDocument[] }) {
  const place = useRef<HTMLDivElement>(null);
  const walk = walks.find((one) => one.language === language.value) ?? walks[0]!;
  useEffect(() => {
    document.title = walk.title;
    return mountStepper(place.current!, walk, {
      at: Math.max(0, Number(location.hash.slice(1)) - 1 || 0),
      moved: (index) => history.replaceState(null, "", `#${index + 1}`),
    });
  }, [walk]);
  return (
    <>
      <header class="top"><h1>{walk.title}</h1><div class="right"><Switches /></div></header>
      <main><div id="view" class="stepper"><div ref={place} /></div></main>
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
  if (data.walks?.length) {
    const wanted = new URLSearchParams(location.search).get("lang");
    language.value = wanted === "zh" || wanted === "en" ? wanted : data.walks[0]!.language;
    render(<Walks walks={data.walks.map(unpackWalk)} />, app);
  } else {
    payload.value = data;
    if (!data.recording) view.value = "tasks";
    render(<App />, app);
  }
}
