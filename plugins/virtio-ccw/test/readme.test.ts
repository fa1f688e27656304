// The README's example is a file that runs; what it says of the structures is what the code has.
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { describeSection, machineWith } from "../examples/device-on-a-channel.ts";
import { type EchoState, echo, echoClass } from "./support/echo.ts";
import { sectionIn } from "./support/section.ts";

const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");

it("shows the example as it is", () => {
  const shown = /```ts\n([\s\S]*?)```/.exec(readme)?.[1];
  expect(shown).toBe(readFileSync(new URL("../examples/device-on-a-channel.ts", import.meta.url), "utf8"));
});

it("runs it", async () => {
  const memory = new Uint8Array(1 << 16);
  const { kernel, subchannel, interruptions } = machineWith(echo(), memory);
  const view = new DataView(memory.buffer);
  subchannel.storeSubchannel(0x200);
  view.setUint16(0x204, 0x2881);
  expect(subchannel.modifySubchannel(0x200)).toBe(0);
  // SENSE ID, format 1.
  view.setUint32(0x300, 0xe4200008);
  view.setUint32(0x304, 0x400);
  [0x51, 0x0080ff00, 0x300].forEach((word, i) => {
    view.setUint32(0x100 + 4 * i, word);
  });
  expect(subchannel.startSubchannel(0x100)).toBe(0);
  expect(interruptions).toEqual([{ cssid: 0xfe, ssid: 0, schid: 0, intparm: 0x51, isc: 5 }]);
  expect(subchannel.testSubchannel(0x500)).toBe(0);
  expect([...memory.subarray(0x400, 0x405)]).toEqual([0xff, 0x38, 0x32, 30, 0]);

  const chunks: Uint8Array[] = [];
  for await (const chunk of kernel.save()) chunks.push(chunk.slice());
  const { bytes } = sectionIn<EchoState>(new Uint8Array(Buffer.concat(chunks)), echoClass);
  const sample = { idstr: "/fe.0.0001/virtio-echo", instance: 0, version: 1, bytes };
  expect(describeSection(echoClass, sample)).toEqual({ devno: 1, revision: -1, byAdapter: false });
});
