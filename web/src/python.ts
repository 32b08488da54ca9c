// Python source as coloured lines: keywords, strings, comments, numbers and the names that are defined.
const KEYWORDS =
  "False None True and as assert async await break case class continue def del elif else except finally for from global if import in is lambda match nonlocal not or pass raise return try while with yield";
const TOKEN = new RegExp(
  [
    String.raw`(?<comment>#[^\n]*)`,
    String.raw`(?<string>[rbuft]{0,2}(?:"""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"?|'(?:\\.|[^'\\\n])*'?))`,
    String.raw`(?<=\b(?:def|class) +)(?<defined>\w+)`,
    String.raw`\b(?<yields>yield|await)\b`,
    String.raw`\b(?<keyword>${KEYWORDS.split(" ").join("|")})\b`,
    String.raw`\b(?<digits>\d[\w.]*)\b`,
  ].join("|"),
  "giu",
);

const escape = (text: string): string => text.replace(/[&<>]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[sign]!);

/** Each line as HTML. A string over several lines is coloured in each of them. */
export function highlight(lines: readonly string[]): string[] {
  const text = lines.join("\n");
  let html = "";
  let done = 0;
  for (const match of text.matchAll(TOKEN)) {
    const kind = Object.entries(match.groups ?? {}).find(([, value]) => value !== undefined)?.[0] ?? "";
    html += escape(text.slice(done, match.index));
    html += escape(match[0]).split("\n").map((part) => `<span class="py-${kind}">${part}</span>`).join("\n");
    done = match.index + match[0].length;
  }
  return (html + escape(text.slice(done))).split("\n");
}
