// Mermaid's sequence and state diagrams as HTML that needs no script and fits a phone: lanes with arrows, and a table of
// transitions.

/** Throws where a line is of no kind that these pages use: nothing of a diagram is left out in silence. */
export function diagramHtml(text: string): string {
  const [kind = "", ...lines] = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (kind === "sequenceDiagram") return sequenceHtml(lines);
  if (kind === "stateDiagram-v2") return statesHtml(lines);
  throw new Error(`no diagram of this kind is drawn: ${kind}`);
}

interface Row {
  readonly from: number;
  readonly to: number;
  readonly kind: "note" | "message" | "stream";
  readonly text: string;
}

/** As CSS has a grid's area: the row and column where it begins, and those behind its end. */
type Area = readonly [row: number, column: number, endRow: number, endColumn: number];

function sequenceHtml(lines: readonly string[]): string {
  const lanes: { readonly id: string; readonly name: string }[] = [];
  const rows: Row[] = [];
  const lane = (id = ""): number => {
    const at = lanes.findIndex((one) => one.id === id);
    if (at < 0) throw new Error(`a diagram has no participant ${id}`);
    return at + 1;
  };
  for (const line of lines) {
    const [, id, name] = /^participant (\w+) as (.+)$/.exec(line) ?? [];
    const [, over, note] = /^Note over ([\w,]+): (.+)$/.exec(line) ?? [];
    const [, from, arrow, to, message] = /^(\w+)(-?->>)(\w+): (.+)$/.exec(line) ?? [];
    if (id !== undefined && name !== undefined) lanes.push({ id, name });
    else if (over !== undefined && note !== undefined) {
      const [first, last = first] = over.split(",");
      rows.push({ from: lane(first), to: lane(last), kind: "note", text: note });
    } else if (message !== undefined) {
      rows.push({ from: lane(from), to: lane(to), kind: arrow === "->>" ? "message" : "stream", text: message });
    } else throw notDrawn(line);
  }
  const cell = (name: string, text: string, [row, column, endRow, endColumn]: Area) =>
    `<div class="${name}" style="grid-area: ${row} / ${column} / ${endRow} / ${endColumn}; --span: ${endColumn - column}">${escaped(text)}</div>`;
  const heads = lanes.map(({ name }, at) => cell("lane", name, [1, at + 1, 2, at + 2]));
  const lifelines = lanes.map((_, at) => cell("lifeline", "", [2, at + 1, rows.length + 2, at + 2]));
  const drawn = rows.map(({ from, to, kind, text }, at) => {
    const name = kind === "note" ? kind : `${kind} ${to < from ? "left" : "right"}`;
    return cell(name, text, [at + 2, Math.min(from, to), at + 3, Math.max(from, to) + 1]);
  });
  return `<div class="sequence" style="--lanes: ${lanes.length}">${[...heads, ...lifelines, ...drawn].join("")}</div>\n`;
}

function statesHtml(lines: readonly string[]): string {
  const names = new Map<string, string>();
  const transitions: { readonly from: string; readonly to: string; readonly event: string }[] = [];
  for (const line of lines) {
    const [, name, alias] = /^state "(.+)" as (\w+)$/.exec(line) ?? [];
    const [, from, to, event = ""] = /^(\S+) --> ([^\s:]+)(?:: (.+))?$/.exec(line) ?? [];
    if (name !== undefined && alias !== undefined) names.set(alias, name);
    else if (from !== undefined && to !== undefined) transitions.push({ from, to, event });
    else throw notDrawn(line);
  }
  const named = (id: string, edge: string) =>
    id === "[*]" ? `<i>${edge}</i>` : `<code>${escaped(names.get(id) ?? id)}</code>`;
  const from = [...new Set(transitions.map((one) => one.from))];
  const body = from.flatMap((state) => {
    const own = transitions.filter((one) => one.from === state);
    return own.map(({ to, event }, at) => {
      const head = at === 0 ? `<th scope="rowgroup" rowspan="${own.length}">${named(state, "begin")}</th>` : "";
      return `<tr>${head}<td>${escaped(event)}</td><td>${named(to, "end")}</td></tr>`;
    });
  });
  const head = "<thead><tr><th>state</th><th>what happens</th><th>next state</th></tr></thead>";
  return `<table class="states">${head}<tbody>${body.join("")}</tbody></table>\n`;
}

const notDrawn = (line: string): Error => new Error(`a diagram's line is of no kind that is drawn: ${line}`);

function escaped(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
