// s390x with virtio-ccw: the rebuilt stream in real QEMU.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { s390xKernel } from "../src/guests.ts";
import { s390Options } from "../src/machines.ts";
import { Sent } from "./support/agree.ts";
import { hop } from "./support/hop.ts";
import { fileOf, haveQemu } from "./support/live.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "godwit-live-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const devices = ["/fe.0.0003/virtio-rng", "/fe.0.0001/virtio-net"];

describe.skipIf(!haveQemu("s390x"))("s390x: virtio-ccw", () => {
  it("goes on drawing from its virtio-rng, and counting; QEMU's monitor shows what was decoded", async () => {
    const kernel = fileOf(folder, "s390x.elf", s390xKernel());
    const options = s390Options.map((word) => word.replace("GUEST", kernel));
    const sent = new Sent();
    const described = await hop({
      target: "s390x",
      source: { options },
      destination: options,
      rebuild: { edit: (idstr, state) => sent.take(idstr, state) },
      loaded: (qemu) => sent.agree(qemu, devices),
    });
    expect([...described].sort()).toEqual(["s390_css", ...devices].sort());
  });
});
