import { describe, expect, it } from "vitest";
import { diagramHtml } from "../src/diagrams.ts";

/** What is drawn, in its order: class, grid area, text. */
const cells = (html: string): string[] =>
  Array.from(
    html.matchAll(/<div class="([^"]+)" style="grid-area: ([^;]+); --span: \d+">([^<]*)<\/div>/g),
    ([, name, area, text]) => `${name} ${area} ${text}`.trim(),
  );

describe("a sequence", () => {
  it("has a lane for each participant, and arrows from the one to the other", () => {
    const html = diagramHtml(
      [
        "sequenceDiagram",
        "  participant L as log",
        "  participant S as source",
        "  participant D as destination",
        "  S->>D: offer {epoch}",
        "  D->>S: a < b",
        "  L-->>D: pages",
        "  Note over S: paused",
        "  Note over S,D: both",
      ].join("\n"),
    );
    expect(cells(html)).toEqual([
      "lane 1 / 1 / 2 / 2 log",
      "lane 1 / 2 / 2 / 3 source",
      "lane 1 / 3 / 2 / 4 destination",
      "lifeline 2 / 1 / 7 / 2",
      "lifeline 2 / 2 / 7 / 3",
      "lifeline 2 / 3 / 7 / 4",
      "message right 2 / 2 / 3 / 4 offer {epoch}",
      "message left 3 / 2 / 4 / 4 a &lt; b",
      "stream right 4 / 1 / 5 / 4 pages",
      "note 5 / 2 / 6 / 3 paused",
      "note 6 / 2 / 7 / 4 both",
    ]);
  });
});

describe("states", () => {
  it("are a table of transitions, by the state that is left", () => {
    const html = diagramHtml(
      [
        "stateDiagram-v2",
        '  state "UNUSABLE (logical)" as empty',
        "  [*] --> empty",
        "  empty --> ready: usable",
        "  ready --> empty: isolate",
        "  empty --> [*]: off",
      ].join("\n"),
    );
    const rows = Array.from(html.matchAll(/<tr>(.*?)<\/tr>/g), ([, row = ""]) =>
      Array.from(row.matchAll(/<t[hd][^>]*>(.*?)<\/t[hd]>/g), ([, cell = ""]) => cell.replace(/<[^>]+>/g, "")),
    );
    expect(rows).toEqual([
      ["state", "what happens", "next state"],
      ["begin", "", "UNUSABLE (logical)"],
      ["UNUSABLE (logical)", "usable", "ready"],
      ["off", "end"],
      ["ready", "isolate", "UNUSABLE (logical)"],
    ]);
    expect(html).toContain('rowspan="2"');
  });
});

it.each([
  ["flowchart TD\n  a --> b", "flowchart TD"],
  ["sequenceDiagram\n  participant S as source\n  loop daily", "loop daily"],
  ["sequenceDiagram\n  participant S as source\n  S->>D: offer", "participant D"],
  ["stateDiagram-v2\n  state fork <<fork>>", "state fork"],
])("what is not drawn is an error (%j)", (text, named) => {
  expect(() => diagramHtml(text)).toThrow(named);
});
