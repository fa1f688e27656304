// The plugin: a machine's RAM blocks as the iterable handler "ram", and as memory for its devices.
import { type Dependency, MigrationError, type Plugin, type Registration, type View } from "@godwit/core";
import { type Absence, type AbsentPages, absentPage, type OnMissing, type PostcopyReceived } from "./absence.ts";
import type { RamBlock } from "./block.ts";
import { type AbsentMemory, absentMemory } from "./dma.ts";
import { type ListFormat, plainList } from "./list-format.ts";
import { mappedStream, type Place } from "./mapped-stream.ts";
import { type GuestMemory, type GuestReader, guestMap, guestMemory } from "./memory.ts";
import { type MultifdReceiver, type MultifdReceiverInit, multifdReceiver } from "./multifd/receiver.ts";
import type { MultifdSender } from "./multifd/sender.ts";
import { type PostcopySource, ramWriter, type SendModes } from "./ram-writer.ts";
import { checkPageBytes, defaultPageBytes, ramVersion } from "./records.ts";
import { type ReceiveTally, receiveTally, StagedMemory } from "./staged-memory.ts";
import { type LiveMemory, stagedRam } from "./staged-ram.ts";
import type { RamReceived, RamStatistics } from "./statistics.ts";
import type { InflateRaw } from "./stream-codec.ts";
import { type UrgentInput, urgentChannel } from "./urgent-channel.ts";
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

/** Modes of the attempts from now on. */
export interface ReceiveModes {
  readonly multifd?: MultifdReceiverInit | undefined;
}

/** Post-copy at the destination, of the latest incoming attempt; `RAM_ORDER` where there is none. */
export interface PostcopyDestination {
  /** Pages that were sent and have changed since, at their command's place in the stream. */
  discard(idstr: string, ranges: readonly { readonly start: number; readonly length: number }[]): void;
  /**
   * From here on a page comes once. Whoever touches one that has not come gets `PAGE_ABSENT`, and `onMissing` is told:
   * once for each page, and again by `retell`. `nowMs` is for the latencies.
   */
  listen(onMissing: OnMissing, nowMs?: () => number): void;
  /** After a lost connection: tells again of each page that was told of and has not come. */
  retell(): void;
  /**
   * Nobody brings pages: whoever waits for one, or begins to, is told `ATTEMPT_ENDED`, until the answer is called. For a
   * machine that is being taken over when its connection breaks.
   */
  refuseWaits(): () => void;
  /** The pages of the block that have come, as `PostcopySource.received` takes them. */
  received(idstr: string): Uint8Array;
  /** Pages that have not come. */
  readonly missingPages: number;
  /** The decoder of a connection for urgent pages. */
  urgent(): UrgentInput;
  /** Resolves when the page is there; it is asked for. */
  arrived(idstr: string, offset: number): Promise<void>;
  statistics(): PostcopyReceived;
}

export interface RamOffer {
  readonly pageBytes: number;
  /** Ways of sending, for attempts that begin later. `ATTEMPT_ACTIVE` while one is under way. */
  sendBy(modes: SendModes): void;
  /** Ways of receiving, likewise. */
  receiveBy(modes: ReceiveModes): void;
  readonly postcopySource: PostcopySource;
  readonly postcopyDestination: PostcopyDestination;
  /** Pages of this machine that post-copy has not brought; undefined where all are there. */
  absent(): AbsentPages | undefined;
  /** The same for devices that read and write guest memory; `directDma` and an IOMMU hand it on. */
  readonly postcopy: AbsentMemory;
  /** Resolves when the page of a `PAGE_ABSENT` is there; rejects with `ATTEMPT_ENDED` where it never will be. */
  whenPresent(error: unknown): Promise<void>;
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
    contract: 3,
    setup(kernel) {
      const stream = ramWriter(blocks, pageBytes, { list, xbzrle, multifd: multifd?.send });
      const writer = list.mappedRam ? mappedStream(blocks, pageBytes, list, place) : stream;
      let receive = multifd?.receive;
      const self: Dependency = { idstr, instance: 0 };
      const pages = blocks.reduce((sum, { tracker }) => sum + tracker.pages, 0);
      // The latest attempt's numbers; its memory is not held here.
      let tally: ReceiveTally | undefined;
      let receiver: MultifdReceiver | undefined;
      let latest: StagedMemory | undefined;
      const live: LiveMemory = { memory: undefined };
      const absence = () => {
        const now = live.memory?.absence;
        return now !== undefined && now.pages > 0 ? now : undefined;
      };
      const registration = kernel.iterable({
        idstr,
        instance: 0,
        version: ramVersion,
        ...(!list.mappedRam && { postcopy: true as const }),
        setup(out, offset) {
          if (absence() !== undefined) {
            const detail = "pages of this machine have not come yet: it cannot be saved or sent";
            throw new MigrationError("ATTEMPT_ACTIVE", detail, { side: "source", section: "ram/0" });
          }
          writer.setup(out, offset);
        },
        pending: (exact) => writer.pending(exact),
        iterate: (out, budgetBytes) => writer.iterate(out, budgetBytes),
        complete: (out, budgetBytes) => writer.complete(out, budgetBytes),
        cleanup: (completed) => writer.cleanup(completed),
        stage() {
          tally = receiveTally();
          const memory = new StagedMemory(blocks, pageBytes, tally, { list, inflateRaw });
          latest = memory;
          receiver = receive && multifdReceiver({ ...receive, pageBytes }, memory);
          memory.barrier = receiver;
          return stagedRam(blocks, map, pageBytes, { memory, live, list });
        },
        ramBlocks: () => blocks.map(({ idstr: name, length }) => ({ idstr: name, bytes: length })),
      });
      const memory = guestMemory(blocks, map, absence);
      const whenPresent = async (error: unknown): Promise<void> => {
        const place = absentPage(error);
        if (place === undefined) throw error;
        await (absence() ?? latest?.absence)?.whenPresent(place);
      };
      return {
        registration,
        after: [self],
        pageBytes,
        sendBy(modes) {
          checkModes({ blocks, list, ...sentBy(modes) }, pageBytes);
          stream.sendBy(modes);
        },
        receiveBy(modes) {
          checkModes({ blocks, list, multifd: { ...(modes.multifd && { receive: modes.multifd }) } }, pageBytes);
          receive = modes.multifd;
        },
        postcopySource: stream.postcopy,
        postcopyDestination: postcopyDestination(() => latest, pageBytes),
        absent: absence,
        whenPresent,
        postcopy: absentMemory(memory, () => absence() !== undefined, whenPresent),
        memory,
        staged: (view) => view.offer<GuestReader>(self),
        statistics: () => ({ sent: writer.sent(), received: tally && receivedOf(tally, pages) }),
        blocks,
        multifd: () => receiver,
      };
    },
  };
}

function postcopyDestination(latest: () => StagedMemory | undefined, pageBytes: number): PostcopyDestination {
  const memory = (): StagedMemory => {
    const now = latest();
    if (now !== undefined) return now;
    throw new MigrationError("RAM_ORDER", "no RAM is coming in", { side: "destination", section: "ram/0" });
  };
  const absence = (): Absence => {
    const now = memory().absence;
    if (now !== undefined) return now;
    throw new MigrationError("RAM_ORDER", "RAM is not in post-copy", { side: "destination", section: "ram/0" });
  };
  return {
    discard: (name, ranges) => memory().discard(name, ranges),
    listen: (onMissing, nowMs) => memory().listen(onMissing, nowMs),
    retell: () => absence().retell(),
    refuseWaits: () => absence().refuseWaits(),
    received: (name) => memory().received(name),
    get missingPages() {
      return memory().absence?.pages ?? 0;
    },
    urgent: () => urgentChannel(memory(), pageBytes),
    arrived: (block, offset) => absence().whenPresent({ block, offset }),
    statistics: () => absence().statistics(),
  };
}

function sentBy({ xbzrle, multifd }: SendModes): Pick<RamInit, "xbzrle" | "multifd"> {
  return { ...(xbzrle && { xbzrle }), ...(multifd && { multifd: { send: multifd } }) };
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
  if (list?.mappedRam && (xbzrle ?? multifd?.send ?? multifd?.receive) !== undefined) {
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
