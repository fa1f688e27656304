// Where a project is written: all of it or nothing, and nothing over anything.
import { mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { CreateError, createPlugin } from "../src/index.ts";
import { writeProject } from "../src/write.ts";
import { scratch } from "./support/project.ts";

const places: { remove(): void }[] = [];
const place = () => {
  const made = scratch();
  places.push(made);
  return made.folder;
};
afterEach(() => {
  for (const { remove } of places.splice(0)) remove();
});

const files = new Map([
  ["a.txt", "one"],
  [".b/c/d.txt", "two"],
]);
const codeOf = (call: () => unknown) => {
  try {
    call();
  } catch (error) {
    if (error instanceof CreateError) return error.code;
    throw error;
  }
  return undefined;
};
/** Everything below a folder, and the texts of files. */
const listing = (folder: string) =>
  readdirSync(folder, { recursive: true })
    .map(String)
    .sort()
    .map((path) => {
      const whole = join(folder, path);
      return statSync(whole).isFile() ? `${path.replaceAll("\\", "/")}=${readFileSync(whole, "utf8")}` : path;
    });
const whole = [".b", ".b/c", ".b/c/d.txt=two", "a.txt=one"];

describe("a project", () => {
  it("is made in a folder that is not there, its parents with it, and nothing is left beside it", () => {
    const at = place();
    writeProject(join(at, "x/y/z"), files);
    expect(listing(join(at, "x/y/z"))).toEqual(whole);
    expect(readdirSync(join(at, "x/y"))).toEqual(["z"]);
  });

  it("is made in an empty folder, which stays the same one", () => {
    const at = place();
    const before = statSync(at).ino;
    writeProject(at, files);
    expect(listing(at)).toEqual(whole);
    expect(statSync(at).ino).toBe(before);
  });

  it("may be entered by others, as any folder of the user's", () => {
    const at = place();
    writeProject(join(at, "p"), files);
    mkdirSync(join(at, "plain"));
    expect(statSync(join(at, "p")).mode).toBe(statSync(join(at, "plain")).mode);
  });

  it("is made through a link to an empty folder", () => {
    const at = place();
    mkdirSync(join(at, "real"));
    symlinkSync(join(at, "real"), join(at, "link"));
    writeProject(join(at, "link"), files);
    expect(listing(join(at, "real"))).toEqual(whole);
  });

  it.each([
    [
      "a folder that holds something",
      (at: string) => [mkdirSync(join(at, "p")), writeFileSync(join(at, "p/own"), "mine")],
    ],
    [
      "a hidden file in the folder",
      (at: string) => [mkdirSync(join(at, "p")), writeFileSync(join(at, "p/.git"), "mine")],
    ],
    ["a file in its place", (at: string) => [writeFileSync(join(at, "p"), "mine")]],
  ])("is FOLDER_NOT_EMPTY where there is %s, which stays as it is", (_, prepare) => {
    const at = place();
    prepare(at);
    const before = listing(at);
    expect(codeOf(() => writeProject(join(at, "p"), files))).toBe("FOLDER_NOT_EMPTY");
    expect(codeOf(() => createPlugin({ name: "godwit-tod", folder: join(at, "p") }))).toBe("FOLDER_NOT_EMPTY");
    expect(listing(at)).toEqual(before);
  });

  it("is FOLDER_UNWRITABLE below a file, or where a file fails, and leaves nothing, no parent either", () => {
    const at = place();
    writeFileSync(join(at, "file"), "mine");
    expect(codeOf(() => writeProject(join(at, "file/p"), files))).toBe("FOLDER_UNWRITABLE");
    // A file that is to be a folder as well fails half-way through.
    const torn = new Map([...files, ["a.txt/b", "three"]]);
    expect(codeOf(() => writeProject(join(at, "x/y"), torn))).toBe("FOLDER_UNWRITABLE");
    mkdirSync(join(at, "empty"));
    expect(codeOf(() => writeProject(join(at, "empty"), torn))).toBe("FOLDER_UNWRITABLE");
    expect(listing(at)).toEqual(["empty", "file=mine"]);
  });

  it("gives way to what comes in between", () => {
    /** The files, and somebody else's as soon as they are read. */
    const meanwhile = (path: string) => {
      const late = new Map(files);
      late[Symbol.iterator] = function* () {
        yield* files;
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, "mine");
        return undefined;
      };
      return late;
    };
    const at = place();
    expect(codeOf(() => writeProject(at, meanwhile(join(at, "a.txt"))))).toBe("FOLDER_NOT_EMPTY");
    expect(listing(at)).toEqual(["a.txt=mine"]);
    expect(codeOf(() => writeProject(join(at, "p"), meanwhile(join(at, "p/own"))))).toBe("FOLDER_NOT_EMPTY");
    expect(listing(at)).toEqual(["a.txt=mine", "p", "p/own=mine"]);
  });
});
