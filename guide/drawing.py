"""Draws who refers to an object, as SVG: objgraph finds the objects, grandalf finds a place for each of them.

Both are small Python packages (pip install 'yieldloop[guide]'); Graphviz is not needed.
"""

import html
import io
import re
from types import FrameType, ModuleType

STYLE = """
  text { font: 13px ui-monospace, Menlo, Consolas, monospace; text-anchor: middle; fill: #1f2328 }
  .on-line { fill: #59636e; font-size: 11px; text-anchor: start }
  rect { fill: #f6f8fa; stroke: #8c959f }
  .asked rect { fill: #ddf4ff; stroke: #0969da; stroke-width: 2 }
  .ground { fill: #ffffff; stroke: none }
  path { fill: none; stroke: #59636e }
  #tip path { fill: #59636e; stroke: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .on-line { fill: #9198a1 } rect { fill: #161b22; stroke: #656c76 }
    .ground { fill: #0d1117 } .asked rect { fill: #0c2d6b; stroke: #4493f8 } path { stroke: #9198a1 } #tip path { fill: #9198a1 }
  }
"""
TIP = '<marker id="tip" orient="auto" markerWidth="9" markerHeight="8" refX="8" refY="4"><path d="M0 0 L9 4 L0 8 z"/></marker>'


class Box:
    """What grandalf wants to know of a node: its size. It sets `xy`, the middle."""

    def __init__(self, lines):
        self.w, self.h = max(map(len, lines)) * 7.9 + 24, len(lines) * 17 + 14
        self.xy = 0, 0


class Line:
    """What grandalf wants of an edge: a place to tell the points that it goes through."""

    def setpath(self, points):
        self.points = points


def holders(path, *things, depth=2):
    """Write a picture of `things`, of what refers to them, and so on, up to `depth` references away."""
    try:
        labels, arrows = find(things, depth)
        graphs = place(labels, arrows)
    except ImportError as error:
        raise SystemExit(f"The picture needs {error.name}: pip install 'yieldloop[guide]'") from None
    asked = {f"o{id(thing)}" for thing in things}
    parts = []
    right, bottom = 0, 10
    for graph in graphs:  # what is not connected lies below one another
        boxes = [vertex.view for vertex in graph.sV]
        dx = 10 - min(box.xy[0] - box.w / 2 for box in boxes)
        dy = bottom - min(box.xy[1] - box.h / 2 for box in boxes)
        for edge in graph.sE:
            points = [*edge.view.points[:-1], border(edge.v[1].view, edge.view.points[-2])]
            parts.append(line_svg([(x + dx, y + dy) for x, y in points], edge.data))
        for vertex in graph.sV:
            name, lines = vertex.data
            x, y = vertex.view.xy
            parts.append(box_svg(x + dx, y + dy, vertex.view, lines, "asked" if name in asked else "holder"))
        right = max(right, *(box.xy[0] + box.w / 2 + dx + 10 for box in boxes))
        bottom = max(box.xy[1] + box.h / 2 + dy + 10 for box in boxes)
    with open(path, "w", encoding="utf-8") as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {right:.0f} {bottom:.0f}" width="{right:.0f}">\n')
        file.write(f"<style>{STYLE}</style>\n<defs>{TIP}</defs>\n")
        file.write(f'<rect class="ground" width="{right:.0f}" height="{bottom:.0f}"/>\n' + "\n".join(parts) + "\n</svg>\n")
    print(f"  drawn: {path}")


def find(things, depth):
    """The objects as {name: lines to write into its box}, and the references as (from, to, label)."""
    import objgraph

    found = io.StringIO()
    objgraph.show_backrefs(things, max_depth=depth, too_many=4, output=found, filter=in_the_story, extra_info=name_of)
    labels = re.findall(r'^  (o\d+)\[label="(.*)"\];$', found.getvalue(), re.MULTILINE)
    arrows = re.findall(r'^  (o\d+) -> (o\d+)(?: \[label="(.*?)")?', found.getvalue(), re.MULTILINE)
    return {name: readable(label) for name, label in labels}, arrows


def in_the_story(holder):
    """Not the module around it all, and no snapshot of a frame's variables (Python 3.11 and 3.12 keep one)."""
    return not isinstance(holder, ModuleType) and (not isinstance(holder, dict) or "__name__" in holder)


def name_of(thing):
    """A second line for its box."""
    if isinstance(thing, FrameType):
        return f"of {thing.f_code.co_name}"
    if isinstance(thing, dict):
        return f"of {thing['__name__']}"
    name = getattr(thing, "co_name", None) or getattr(thing, "__name__", None)
    return f"of {name}" if name else ""


def readable(label):
    """objgraph's label without what differs from run to run: addresses, folders, sizes."""
    first, *_, last = label.split(r"\n")
    return [first, last] if last.startswith("of ") else [first]


def place(labels, arrows):
    """The connected parts of the graph, with a place for each of their boxes and a way for each line."""
    from grandalf.graphs import Edge, Graph, Vertex
    from grandalf.layouts import SugiyamaLayout

    vertices = {name: Vertex((name, lines)) for name, lines in labels.items()}
    edges = [Edge(vertices[start], vertices[end], data=label) for start, end, label in arrows]
    for vertex in vertices.values():
        vertex.view = Box(vertex.data[1])
    for edge in edges:
        edge.view = Line()
    graphs = Graph(list(vertices.values()), edges).C
    for graph in graphs:
        layout = SugiyamaLayout(graph)
        layout.yspace, layout.xspace = 44, 24
        layout.init_all()
        layout.draw(3)
    return graphs


def border(box, start):
    """Where a line from `start` to the middle of the box meets its border."""
    (x, y), dx, dy = box.xy, start[0] - box.xy[0], start[1] - box.xy[1]
    part = min(box.w / 2 / abs(dx) if dx else 1, box.h / 2 / abs(dy) if dy else 1)
    return x + dx * part, y + dy * part


def box_svg(x, y, box, lines, kind):
    rect = f'<rect x="{x - box.w / 2:.0f}" y="{y - box.h / 2:.0f}" width="{box.w:.0f}" height="{box.h:.0f}" rx="6"/>'
    top = y - box.h / 2 + 19
    texts = "".join(f'<text x="{x:.0f}" y="{top + 17 * row:.0f}">{html.escape(line)}</text>' for row, line in enumerate(lines))
    return f'<g class="{kind}">{rect}{texts}</g>'


def line_svg(points, label):
    way = " L".join(f"{x:.0f} {y:.0f}" for x, y in points)
    (x, y), (x2, y2) = points[0], points[-1]
    text = f'<text class="on-line" x="{(x + x2) / 2 + 5:.0f}" y="{(y + y2) / 2:.0f}">{html.escape(label)}</text>' if label else ""
    return f'<path d="M{way}" marker-end="url(#tip)"/>{text}'
