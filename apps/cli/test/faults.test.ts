// Every code that a stream can raise has a likely cause in plain words; what is shown of an error.
import { errorCodes, MigrationError } from "@godwit/core";
import { ramErrorCodes } from "@godwit/ram-dirty-tracker";
import { spaprErrorCodes } from "@godwit/spapr-drc-ccs";
import { vfioErrorCodes } from "@godwit/vfio-config-subflag";
import { virtioErrorCodes } from "@godwit/virtio-core";
import { describe, expect, it } from "vitest";
import { CliFault, faultLines, reportOf } from "../src/faults.ts";
import { likelyCauses, notFromStreams } from "../src/likely-cause.ts";

const codes = [errorCodes, ramErrorCodes, vfioErrorCodes, virtioErrorCodes, spaprErrorCodes].flatMap((table) =>
  Object.keys(table),
);
const own = ["HOLD_BOUND", "STREAM_ENDLESS"];

describe("likely causes", () => {
  it.each(codes)("%s has one, or comes from no stream", (code) => {
    expect(code in likelyCauses).toBe(!notFromStreams.includes(code));
  });

  it("are of codes that there are", () => {
    const known = new Set([...codes, ...own]);
    expect([...Object.keys(likelyCauses), ...notFromStreams].filter((code) => !known.has(code))).toEqual([]);
  });

  it("are sentences that do not name the code", () => {
    for (const [code, cause] of Object.entries(likelyCauses)) {
      expect(cause.length, code).toBeGreaterThan(20);
      expect(cause, code).not.toContain(code);
    }
  });
});

describe("an error as it is told", () => {
  it("has section, field, byte, expected, found and a cause", () => {
    const error = new MigrationError("FOOTER_MISSING", "it does not end", {
      section: "ram/0",
      path: "footer",
      offset: 77,
      expected: "0x7e",
      found: "0x00",
    });
    const { report, exit } = reportOf(error);
    expect(exit).toBe(1);
    expect(report).toMatchObject({ code: "FOOTER_MISSING", section: "ram/0", path: "footer", offset: 77 });
    expect(faultLines(report)).toEqual([
      "godwit: it does not end: expected 0x7e, found 0x00 (FOOTER_MISSING)",
      "  at section ram/0, field footer, byte 77",
      `  ${likelyCauses["FOOTER_MISSING"]}`,
    ]);
  });

  it("says more where the error says more", () => {
    const hint = (init: object, code = "STREAM_TRUNCATED") => reportOf(new MigrationError(code, "x", init)).report.hint;
    expect(hint({ section: "stream", path: "type" })).toContain("EOF");
    expect(hint({ section: "ram/0", path: "body" })).not.toContain("EOF");
    expect(hint({ found: "0x4d564551" }, "MAGIC_WRONG")).toContain("swapped");
    expect(hint({}, "SOMEBODY_ELSES")).toBeUndefined();
  });

  it("is a bug where it is none of ours", () => {
    const { report, exit } = reportOf(new TypeError("x is not a function"));
    expect(exit).toBe(3);
    expect(report.hint).toContain("report it");
    expect(reportOf("thrown").report.message).toBe("thrown");
  });

  it("has its place, and the exit that it asks for", () => {
    const { report, exit } = reportOf(new CliFault("A_CODE", "so it is", { exit: 2, place: { offset: 3 } }));
    expect(exit).toBe(2);
    expect(report).toEqual({ code: "A_CODE", message: "so it is", offset: 3 });
  });
});
