// The whole walk at a glance: at each step, how many frames are on the stack, in the colour of the generator whose frame is on top.
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import { theme } from "./state";
import type { WalkDocument } from "./walk";
import { say } from "./words";

const HEIGHT = 44;

interface Props {
  walk: WalkDocument;
  index: number;
  inks: Map<string | number, number>;
  go: (index: number) => void;
}

export function Strip({ walk, index, inks, go }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const watcher = new ResizeObserver(() => setWidth(canvas.current!.clientWidth));
    watcher.observe(canvas.current!);
    return () => watcher.disconnect();
  }, []);
  useLayoutEffect(() => draw(canvas.current!, walk, inks, width), [walk, width, theme.value]);
  const { length } = walk.steps;
  const seek = (event: PointerEvent): void => {
    const box = canvas.current!.getBoundingClientRect();
    go(Math.floor(((event.clientX - box.left) / box.width) * length));
  };
  return (
    <div
      class="strip"
      role="slider"
      tabIndex={0}
      aria-label={say("jump")}
      aria-valuemin={1}
      aria-valuemax={length}
      aria-valuenow={index + 1}
      onPointerDown={(event) => {
        event.currentTarget.setPointerCapture(event.pointerId);
        seek(event);
      }}
      onPointerMove={(event) => event.buttons && seek(event)}
    >
      <canvas ref={canvas} style={{ height: `${HEIGHT}px` }} />
      <i style={{ left: `${((index + 0.5) / length) * 100}%` }} />
    </div>
  );
}

function draw(canvas: HTMLCanvasElement, walk: WalkDocument, inks: Map<string | number, number>, width: number): void {
  if (width === 0) return;
  const scale = devicePixelRatio;
  canvas.width = width * scale;
  canvas.height = HEIGHT * scale;
  const context = canvas.getContext("2d")!;
  context.scale(scale, scale);
  const style = getComputedStyle(canvas);
  const plain = style.getPropertyValue("--poll");
  const { length } = walk.steps;
  let deepest = 1;
  for (let at = 0; at < length; at++) deepest = Math.max(deepest, walk.steps.at(at)!.stack.length);
  const step = width / length;
  const row = (HEIGHT - 4) / deepest;
  for (let at = 0; at < length; at++) {
    const { stack } = walk.steps.at(at)!;
    stack.forEach(({ id }, depth) => {
      context.fillStyle = inks.has(id) ? style.getPropertyValue(`--ink-${inks.get(id)}`) : plain;
      context.fillRect(at * step, HEIGHT - (depth + 1) * row, Math.max(step - (step > 4 ? 0.5 : 0), 0.6), row - (row > 3 ? 1 : 0));
    });
  }
}
