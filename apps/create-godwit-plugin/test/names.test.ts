// Names of packages and devices.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { CreateError } from "../src/index.ts";
import { deviceOf, folderOf, namesOf } from "../src/names.ts";

const refusal = (name: string, device?: string) => {
  try {
    namesOf(name, device);
  } catch (error) {
    if (error instanceof CreateError) return `${error.code} ${error.message}`;
    throw error;
  }
  return undefined;
};

describe("a package's name", () => {
  it.each([
    ["godwit-plugin-tod", "godwit-plugin-tod", "tod", "tod", "Tod"],
    ["@acme/godwit-tod", "godwit-tod", "tod", "tod", "Tod"],
    ["wall_clock.godwit", "wall_clock.godwit", "wall-clock", "wallClock", "WallClock"],
    ["godwit-plugin-i8254-pit", "godwit-plugin-i8254-pit", "i8254-pit", "i8254Pit", "I8254Pit"],
    ["a-1-b", "a-1-b", "a-1-b", "a1B", "A1B"],
  ])("%s gives folder, device and names in the code", (name, folder, device, camel, pascal) => {
    expect(folderOf(name)).toBe(folder);
    expect(deviceOf(name)).toBe(device);
    expect(namesOf(name)).toEqual({ packageName: name, device, camel, pascal });
  });

  it.each([
    ["", "empty"],
    ["Tod", 'try "tod"'],
    ["@acme", "followed by a slash"],
    ["@acme/", "empty"],
    ["@/tod", "empty"],
    ["@acme/tod/x", "a slash too many"],
    ["tod/x", "a slash too many"],
    [".tod", "begin with a letter"],
    ["_tod", "begin with a letter"],
    ["@acme/.tod", "begin with a letter"],
    ["@-acme/tod", "begin with a letter"],
    ["to d", "begin with a letter"],
    ["tód", "begin with a letter"],
    ["tod!", "begin with a letter"],
    ["../tod", "a slash too many"],
    ["..", "begin with a letter"],
    ["http", "Node's own"],
    ["node_modules", "keeps that name"],
    ["favicon.ico", "keeps that name"],
    ["x".repeat(215), "214 is the most"],
  ])("%j is NAME_INVALID", (name, why) => {
    expect(refusal(name, "tod")).toMatch(/^NAME_INVALID /);
    expect(refusal(name, "tod")).toContain(why);
  });

  it("may be as long as the registry takes, and be a module's of Node's under a scope", () => {
    expect(refusal("x".repeat(214), "tod")).toBeUndefined();
    expect(refusal("@acme/http")).toBeUndefined();
  });

  it("that says nothing about a device is asked for one", () => {
    for (const name of ["godwit-plugin", "@acme/godwit", "godwit-16550"]) {
      expect(refusal(name)).toMatch(/^DEVICE_INVALID .*--device$/);
    }
    expect(deviceOf("tod-")).toBe("tod");
  });
});

describe("a device's name", () => {
  it.each(["", "Tod", "1tod", "-tod", "tod-", "to--d", "to_d", "to/d", "__idstr__", "t".repeat(65)])(
    "%j is DEVICE_INVALID",
    (device) => expect(refusal("godwit-tod", device)).toMatch(/^DEVICE_INVALID /),
  );

  it.each(["timer", "ram", "irqchip", "describe", "vmschkmachine"])("%s is taken: DEVICE_INVALID", (device) => {
    expect(refusal(`godwit-${device}`)).toMatch(/^DEVICE_INVALID .* is taken, .*--device$/);
    expect(refusal(`godwit-${device}-x`)).toBeUndefined();
  });

  it("becomes identifiers, whatever it is", () => {
    const word = fc.stringMatching(/^[a-z0-9]{1,6}$/);
    const device = fc.tuple(fc.stringMatching(/^x[a-z0-9]{0,5}$/), fc.array(word, { maxLength: 4 }));
    fc.assert(
      fc.property(device, ([first, rest]) => {
        const { camel, pascal } = namesOf("godwit-x", [first, ...rest].join("-"));
        expect(camel).toMatch(/^[a-z][A-Za-z0-9]*$/);
        expect(pascal).toBe((camel[0] ?? "").toUpperCase() + camel.slice(1));
        expect(camel.toLowerCase()).toBe([first, ...rest].join(""));
      }),
      { seed: 7 },
    );
  });
});
