import { describe, expect, it } from "vitest";
import { addressOf, formatHostAndPort, parseHostAndPort } from "../src/uri.ts";

describe("addresses", () => {
  it("are read and written alike", () => {
    for (const [text, host, port] of [
      ["localhost:4444", "localhost", 4444],
      ["10.0.0.1:0", "10.0.0.1", 0],
      ["[::1]:65535", "::1", 65535],
    ] as const) {
      expect(parseHostAndPort(text)).toEqual({ host, port });
      expect(formatHostAndPort({ host, port })).toBe(text);
    }
  });

  it("have no spaces nor NULs in their hosts", () => {
    for (const text of ["a\0b:1", " :1", "a b:1", "[::1 ]:1", "[]:1", ":1", "a:1 "]) {
      expect(() => parseHostAndPort(text), text).toThrow(expect.objectContaining({ code: "TRANSPORT_ADDRESS" }));
    }
  });

  it("belong to the scheme that stands before the first colon", () => {
    expect(addressOf("tcp:a:1", "tcp")).toBe("a:1");
    expect(() => addressOf("tls:a:1", "tcp")).toThrow(expect.objectContaining({ code: "TRANSPORT_UNSUPPORTED" }));
  });
});
