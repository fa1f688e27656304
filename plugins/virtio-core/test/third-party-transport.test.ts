// A transport of a third party, written against the public contract alone: what it adds to the wire is all within
// virtio/extra_state.
import {
  type AnyRecord,
  decodeState,
  encodeState,
  type StateOf,
  struct,
  subsection,
  u8,
  u16,
  u32,
  vbuffer,
  vmstate,
} from "@godwit/core";
import { describe, expect, it } from "vitest";
import { type NoData, noData, type TransportedDevice, type VirtioTransport, virtioDevice } from "../src/index.ts";
import { TestMemory } from "./support/memory.ts";
import { EchoModel, noView, takingKernel } from "./support/parts.ts";
import { hostFeatures } from "./support/rig.ts";

/** Doorbells of a bus that nobody else has; a nested part, and one that travels only when it is in use. */
const mailbox = vmstate({
  name: "mailbox_transport",
  version: 3,
  fields: {
    doorbell: u32,
    link: struct(vmstate({ name: "mailbox_link", version: 1, fields: { lane: u8, speed: u16 } })),
    length: u8,
    letters: vbuffer("length", { max: 255 }),
  },
  subsections: {
    sleep: subsection({
      name: "mailbox_transport/sleep",
      version: 1,
      fields: { since: u32 },
      needed: ({ since }) => since !== 0,
      absent: { since: 0 },
    }),
  },
});
type Mailbox = StateOf<typeof mailbox>;

const idle: Mailbox = {
  doorbell: 0,
  link: { lane: 0, speed: 0 },
  length: 0,
  letters: new Uint8Array(0),
  sleep: { since: 0 },
};

class MailboxTransport implements VirtioTransport<NoData, NoData, Mailbox> {
  readonly descriptions;
  state: Mailbox = idle;
  constructor(_device: TransportedDevice, sends: boolean) {
    this.descriptions = {
      config: noData,
      queue: noData,
      extraState: { description: mailbox, needed: sends, absent: idle },
    };
  }
  notifyQueue(): void {}
  notifyConfig(): void {}
  updateInterrupt(): void {}
  reset(): void {
    this.state = idle;
  }
  dmaEnabled(): boolean {
    return true;
  }
  saveConfig(): NoData {
    return {};
  }
  saveQueue(): NoData {
    return {};
  }
  saveExtraState(): Mailbox {
    return this.state;
  }
  loadConfig(): void {}
  loadQueue(): void {}
  loadExtraState(state: Mailbox): void {
    this.state = state;
  }
}

function machine(sends = true) {
  const { kernel, registered } = takingKernel();
  const wired = virtioDevice({
    kernel,
    path: "mailbox0",
    model: new EchoModel([]),
    dma: new TestMemory(),
    parameters: { hostFeatures, dialect: "10.0" },
    transport: (device) => new MailboxTransport(device, sends),
  });
  wired.device.setFeatures(0b101n);
  return { ...wired, ...registered(), registered };
}

const save = ({ description, init }: ReturnType<typeof machine>): Uint8Array => encodeState(description, init.save());

const state: Mailbox = {
  doorbell: 0xd00bbe11,
  link: { lane: 7, speed: 0x1234 },
  length: 3,
  letters: Uint8Array.of(9, 8, 7),
  sleep: { since: 77 },
};

/** All of its bytes, its own subsection's among them. */
const own = [
  ...[0xd0, 0x0b, 0xbe, 0x11, 7, 0x12, 0x34, 3, 9, 8, 7],
  ...[5, 23, ...Array.from("mailbox_transport/sleep", (c) => c.charCodeAt(0)), 0, 0, 0, 1, 0, 0, 0, 77],
];
const header = [5, 18, ...Array.from("virtio/extra_state", (c) => c.charCodeAt(0)), 0, 0, 0, 1];

describe("a transport of a third party", () => {
  it("adds bytes in virtio/extra_state, and nowhere else", () => {
    const without = Array.from(save(machine(false)));
    const source = machine();
    source.transport.state = state;
    const withIt = Array.from(save(source));
    expect(withIt.length).toBe(without.length + header.length + own.length);
    const at = withIt.findIndex((_, i) => header.every((byte, j) => withIt[i + j] === byte));
    expect(withIt.slice(at, at + header.length + own.length)).toEqual([...header, ...own]);
    expect(withIt.filter((_, i) => i < at || i >= at + header.length + own.length)).toEqual(without);
  });

  it("gets them back", () => {
    const source = machine();
    source.transport.state = state;
    const target = machine();

    const read = decodeState(target.description, save(source)) as AnyRecord;
    expect(target.init.check?.(read, noView)).toBeUndefined();
    target.init.load(read);
    expect(target.transport.state).toEqual(state);
    expect(save(target)).toEqual(save(source));
  });

  it("has its absent state where the source sent none", () => {
    const target = machine();
    target.transport.state = state;

    target.init.load(decodeState(target.description, save(machine(false))) as AnyRecord);
    expect(target.transport.state).toEqual(idle);
  });
});
