// The plugin: a machine's RAM blocks as the iterable handler "ram", and as memory for its devices.
import { type Dependency, MigrationError, type Plugin, type Registration, type View } from "@godwit/core";
import type { RamBlock } from "./block.ts";
import { type ListFormat, plainList } from "./list-format.ts";
import { mappedStream, type Place } from "./mapped-stream.ts";
import { type GuestMemory, type GuestReader, guestMap, guestMemory } from "./memory.ts";
import { type MultifdReceiver, type MultifdReceiverInit, multifdReceiver } from "./multifd/receiver.ts";
import type { MultifdSender } from "./multifd/sender.ts";
import { ramWriter } from "./ram-writer.ts";
import { checkPageBytes, defaultPageBytes, ramVersion } from "./records.ts";
import { type ReceiveTally, receiveTally, StagedMemory } from "./staged-memory.ts";
import { stagedRam } from "./staged-ram.ts";
import type { RamReceived, RamStatistics } from "./statistics.ts";
import type { InflateRaw } from "./stream-codec.ts";
import { version } from "./version.ts";
import { defaultXbzrleCacheBytes, xbzrleCache } from "./xbzrle-cache.ts";
import type { XbzrleInit } from "./xbzrle-sender.ts";

export interface RamInit {
  /** In the order of the wire's block list. */
  readonly blocks: readonly RamBlock[];
  /** Bytes of a target page; the trackers' own. The default is 4096. */
  readonly pageBytes?: number;
  /** Sends deltas from the second round on: QEMU's capability xbzrle. They are read in any case. */
  readonly xbzrle?: XbzrleInit;
  /** What block lists hold, by the capabilities `x-ignore-shared` and `mapped-ram`; the kernel is told the same ones. */
  readonly list?: ListFormat;
  /** With `mapped-ram`: writes over places of the file that the stream goes to. Without it, memory must stand still. */
  readonly place?: Place;
  /** Reads compressed pages, of QEMU's capability compress; without it they are `RAM_ENCODING`. */
  readonly inflateRaw?: InflateRaw;
  /** Pages by channels of their own. Not together with `xbzrle`. */
  readonly multifd?: { readonly send?: MultifdSender; readonly receive?: MultifdReceiverInit };
}

export interface RamOffer {
  readonly registration: Registration;
  /** For devices whose checks look at memory. */
  readonly after: readonly Dependency[];
  /** The blocks at their guest addresses, as they are now. */
  readonly memory: GuestMemory;
  /** The memory that an incoming attempt brings. */
  staged(view: View): GuestReader;
  statistics(): RamStatistics;
  readonly blocks: readonly RamBlock[];
  /** Of the latest incoming attempt with multifd: what its channels' bytes go to. */
  multifd(): MultifdReceiver | undefined;
}

const idstr = "ram";

/** `DEFINITION_INVALID` where blocks share a name or an address, or a tracker has other pages. */
export function ram(init: RamInit): Plugin<RamOffer> {
  const { blocks, pageBytes = defaultPageBytes, list = plainList, xbzrle, inflateRaw, multifd, place } = init;
  checkBlocks(blocks, pageBytes);
  checkModes(init, pageBytes);
  const map = guestMap(blocks);
  return {
    name: "@godwit/ram-dirty-tracker",
    version,
    contract: 2,
    setup(kernel) {
      const writer = list.mappedRam
        ? mappedStream(blocks, pageBytes, list, place)
        : ramWriter(blocks, pageBytes, { list, xbzrle, multifd: multifd?.send });
      const self: Dependency = { idstr, instance: 0 };
      const pages = blocks.reduce((sum, { tracker }) => sum + tracker.pages, 0);
      // The latest attempt's numbers; its memory is not held here.
      let tally: ReceiveTally | undefined;
      let receiver: MultifdReceiver | undefined;
      const registration = kernel.iterable({
        idstr,
        instance: 0,
        version: ramVersion,
        setup: (out, offset) => writer.setup(out, offset),
        pending: (exact) => writer.pending(exact),
        iterate: (out, budgetBytes) => writer.iterate(out, budgetBytes),
        complete: (out, budgetBytes) => writer.complete(out, budgetBytes),
        cleanup: (completed) => writer.cleanup(completed),
        stage() {
          tally = receiveTally();
          const memory = new StagedMemory(blocks, pageBytes, tally, { list, inflateRaw });
          if (multifd?.receive !== undefined) {
            receiver = multifdReceiver({ ...multifd.receive, pageBytes }, memory);
            memory.barrier = receiver;
          }
          return stagedRam(blocks, map, pageBytes, memory, list);
        },
        ramBlocks: () => blocks.map(({ idstr: name, length }) => ({ idstr: name, bytes: length })),
      });
      return {
        registration,
        after: [self],
        memory: guestMemory(blocks, map),
        staged: (view) => view.offer<GuestReader>(self),
        statistics: () => ({ sent: writer.sent(), received: tally && receivedOf(tally, pages) }),
        blocks,
        multifd: () => receiver,
      };
    },
  };
}

function receivedOf({ arrivedPages, ...tally }: ReceiveTally, pages: number): RamReceived {
  return { ...tally, missingPages: pages - arrivedPages };
}

/** `DEFINITION_INVALID` for what does not go together. */
function checkModes({ xbzrle, multifd, list }: RamInit, pageBytes: number): void {
  const refuse = (path: string, detail: string, found?: string): MigrationError =>
    new MigrationError("DEFINITION_INVALID", detail, { side: "define", path, found });
  if (xbzrle !== undefined) xbzrleCache(xbzrle.cacheBytes ?? defaultXbzrleCacheBytes, pageBytes);
  if (xbzrle !== undefined && multifd?.send !== undefined) {
    throw refuse("xbzrle", "deltas go over the main channel alone, and not with multifd");
  }
  if (list?.mappedRam && (xbzrle ?? multifd) !== undefined) {
    throw refuse("list.mappedRam", "pages of mapped-ram have their own places in a file");
  }
  const channelPageBytes = multifd?.send?.pageBytes ?? pageBytes;
  if (channelPageBytes !== pageBytes) {
    throw refuse("multifd.send.pageBytes", "the channels have pages of another size", String(channelPageBytes));
  }
}

function checkBlocks(blocks: readonly RamBlock[], pageBytes: number): void {
  checkPageBytes(pageBytes);
  const names = new Set<string>();
  for (const { idstr: name, tracker } of blocks) {
    if (names.has(name)) {
      throw new MigrationError("DEFINITION_INVALID", "two RAM blocks have the same name", {
        side: "define",
        path: "blocks",
        found: name,
      });
    }
    names.add(name);
    if (tracker.pageBytes === pageBytes) continue;
    throw new MigrationError("DEFINITION_INVALID", "a tracker has pages of another size", {
      side: "define",
      path: `${name}.tracker`,
      expected: `${pageBytes} bytes`,
      found: `${tracker.pageBytes} bytes`,
    });
  }
}
