// The plugin: a machine's RAM blocks as the iterable handler "ram", and as memory for its devices.
import { type Dependency, MigrationError, type Plugin, type Registration, type View } from "@godwit/core";
import type { RamBlock } from "./block.ts";
import { type GuestMemory, type GuestReader, guestMap, guestMemory } from "./memory.ts";
import { ramWriter } from "./ram-writer.ts";
import { checkPageBytes, defaultPageBytes, ramVersion } from "./records.ts";
import { type ReceiveTally, stagedRam } from "./staged-ram.ts";
import type { RamReceived, RamStatistics } from "./statistics.ts";
import { version } from "./version.ts";

export interface RamInit {
  /** In the order of the wire's block list. */
  readonly blocks: readonly RamBlock[];
  /** Bytes of a target page; the trackers' own. The default is 4096. */
  readonly pageBytes?: number;
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
}

const idstr = "ram";

/** `DEFINITION_INVALID` where blocks share a name or an address, or a tracker has other pages. */
export function ram({ blocks, pageBytes = defaultPageBytes }: RamInit): Plugin<RamOffer> {
  checkBlocks(blocks, pageBytes);
  const map = guestMap(blocks);
  return {
    name: "@godwit/ram-dirty-tracker",
    version,
    contract: 2,
    setup(kernel) {
      const writer = ramWriter(blocks, pageBytes);
      const self: Dependency = { idstr, instance: 0 };
      const pages = blocks.reduce((sum, { tracker }) => sum + tracker.pages, 0);
      // The latest attempt's numbers; its memory is not held here.
      let tally: ReceiveTally | undefined;
      const registration = kernel.iterable({
        idstr,
        instance: 0,
        version: ramVersion,
        setup: (out) => writer.setup(out),
        pending: (exact) => writer.pending(exact),
        iterate: (out, budgetBytes) => writer.iterate(out, budgetBytes),
        complete: (out, budgetBytes) => writer.complete(out, budgetBytes),
        cleanup: (completed) => writer.cleanup(completed),
        stage() {
          tally = { zeroPages: 0, normalPages: 0, arrivedPages: 0, allocatedBytes: 0 };
          return stagedRam(blocks, map, pageBytes, tally);
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
      };
    },
  };
}

function receivedOf(
  { zeroPages, normalPages, arrivedPages, allocatedBytes }: ReceiveTally,
  pages: number,
): RamReceived {
  return { zeroPages, normalPages, missingPages: pages - arrivedPages, allocatedBytes };
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
