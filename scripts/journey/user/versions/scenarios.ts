// What becomes of machines whose plugins have different versions. Four releases of one plugin are installed beside each
// other under names of their own. Runs on Node, Bun and Deno; its last line counts what held.
import { contract, createKernel, isMigrationError, type Kernel, oldestContract, virtualClock } from "@godwit/core";
import { type HostClock, incomingMigration, outgoingMigration } from "@godwit/migration";
import { barrierTracker, ram, ramBlock } from "@godwit/ram-dirty-tracker";
import { memoryPair } from "@godwit/transport";
import { acmeBuzzer as oldest } from "buzzer-0.9";
import { acmeBuzzer as small } from "buzzer-1.0";
import { acmeBuzzer as grown } from "buzzer-1.1";
import { acmeBuzzer as future } from "buzzer-2.0";

const pageBytes = 4096;
const pageCount = 64;
const clock: HostClock = {
  nowMs: () => performance.now(),
  after(delayMs, callback) {
    const waiting = setTimeout(callback, delayMs);
    return () => clearTimeout(waiting);
  },
};

function board() {
  let memory: Uint8Array = new Uint8Array(pageCount * pageBytes);
  let running = false;
  const kernel = createKernel({
    machineType: "acme-board-1",
    clock: virtualClock(() => BigInt(Math.round(performance.now() * 1e6))),
    machine: {
      pause: () => {
        running = false;
      },
      resume: () => {
        running = true;
      },
      reset() {},
    },
  });
  const offer = kernel.use(
    ram({
      blocks: [
        ramBlock({
          idstr: "acme.ram",
          bytes: () => memory,
          adopt: (arrived) => {
            memory = arrived;
          },
          tracker: barrierTracker(memory.length),
          map: [{ gpa: 0, offset: 0, length: memory.length }],
        }),
      ],
    }),
  );
  const pagesSent = () => {
    const { sent } = offer.statistics();
    return sent === undefined ? 0 : sent.normalPages + sent.zeroPages;
  };
  return { kernel, memory: offer.memory, pagesSent, isRunning: () => running };
}
type Board = ReturnType<typeof board>;

/** Runs, and has something in every page. */
function started(made: Board): void {
  for (let page = 0; page < pageCount; page++) made.memory.write(page * pageBytes, Uint8Array.of(page + 1));
  made.kernel.resume();
}

async function migrate(from: Kernel, to: Kernel) {
  const [left, right] = memoryPair();
  const yieldToHost = () => new Promise<void>((resolve) => setTimeout(resolve, 0));
  const outgoing = outgoingMigration({ machine: from, clock, connect: async () => left, yieldToHost });
  const incoming = incomingMigration({ machine: to, clock, accept: async () => right });
  const [source, destination] = await Promise.all([outgoing.run(), incoming.run()]);
  return { source, destination };
}

async function saved(kernel: Kernel): Promise<Uint8Array[]> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of kernel.save()) chunks.push(Uint8Array.from(chunk));
  return chunks;
}

function same(found: unknown, wanted: unknown, what: string): void {
  const [is, should] = [found, wanted].map((value) => JSON.stringify(value));
  if (is !== should) throw new Error(`${what}: expected ${should}; found ${is}`);
}

function codeOf(action: () => unknown): string | undefined {
  try {
    action();
    return undefined;
  } catch (error) {
    return isMigrationError(error) ? error.code : String(error);
  }
}

const scenarios: Record<string, () => Promise<void>> = {
  async "two versions with different instances work in one machine, and migrate"() {
    const [here, there] = [board(), board()].map((made) => ({
      ...made,
      old: made.kernel.use(small({ instance: 0 })),
      young: made.kernel.use(grown({ instance: 1 })),
    })) as [Both, Both];
    started(here);
    Object.assign(here.old, { pitchHz: 220 });
    Object.assign(here.young, { pitchHz: 880 });
    here.young.melody.beatsPerMinute = 90;
    const tell = ({ old, young, memory }: Both) => [old.pitchHz, young, Array.from(memory.read(5 * pageBytes, 2))];
    const wanted = [220, { pitchHz: 880, melody: { beatsPerMinute: 90 } }, [6, 0]];

    const { kernel } = there;
    await kernel.load(await saved(here.kernel));
    same(tell(there), wanted, "what was loaded");
    Object.assign(there.old, { pitchHz: 1 });
    Object.assign(there.young, { pitchHz: 1 });
    const { source, destination } = await migrate(here.kernel, kernel);
    same([source.state.status, destination.state.status], ["completed", "completed"], "the migration");
    same([source.misfits, source.warnings], [[], []], "what did not fit");
    same(tell(there), wanted, "what was migrated");
    same([here.isRunning(), there.isRunning()], [false, true], "who runs");
    same(
      kernel.manifest().plugins.flatMap(({ name, version }) => (name.startsWith("@acme/") ? [version] : [])),
      ["1.0.0", "1.1.0"],
      "the manifest's plugins",
    );
  },

  async "two versions with the same instance are SECTION_DUPLICATE"() {
    const { kernel } = board();
    kernel.use(small({ instance: 3 }));
    same(
      codeOf(() => kernel.use(grown({ instance: 3 }))),
      "SECTION_DUPLICATE",
      "the second",
    );
  },

  async "a plugin of the oldest accepted contract works, with one warning"() {
    same(oldestContract < contract, true, "there is an older contract that is accepted");
    const [here, there] = [board(), board()];
    const warnings: unknown[] = [];
    here.kernel.events.on("plugin-contract", (plugin, own) => warnings.push([plugin.name, plugin.contract, own]));
    const device = here.kernel.use(oldest({ instance: 0 }));
    here.kernel.use(oldest({ instance: 1 }));
    here.kernel.use(small({ instance: 2 }));
    same(warnings, [["@acme/godwit-buzzer", oldestContract, contract]], "the warnings");
    device.pitchHz = 333;
    const arrived = there.kernel.use(oldest({ instance: 0 }));
    there.kernel.use(oldest({ instance: 1 }));
    there.kernel.use(small({ instance: 2 }));
    await there.kernel.load(await saved(here.kernel));
    same(arrived.pitchHz, 333, "what was loaded");
  },

  async "a plugin of a contract that is not accepted is PLUGIN_CONTRACT"() {
    const { kernel } = board();
    same(
      codeOf(() => kernel.use(future({ instance: 0 }))),
      "PLUGIN_CONTRACT",
      "the plugin",
    );
    same(
      codeOf(() => kernel.use(small({ instance: 0 }))),
      undefined,
      "another one in its place",
    );
  },

  async "a sender that grew a needed subsection is refused before the first page, and runs on"() {
    const [here, there] = [board(), board()];
    const device = here.kernel.use(grown({ instance: 0 }));
    const waiting = there.kernel.use(small({ instance: 0 }));
    started(here);
    device.pitchHz = 500;
    device.melody.beatsPerMinute = 90;
    const { source, destination } = await migrate(here.kernel, there.kernel);
    const refusal = { code: "SUBSECTION_UNKNOWN", subject: "section acme-buzzer/0, subsection acme-buzzer/melody" };
    const told = source.misfits.map(({ code, subject }) => ({ code, subject }));
    same(here.pagesSent(), 0, "pages that were sent");
    same(told, [refusal], "why it was refused");
    same([source.state.status, destination.state.status], ["failed", "failed"], "the migration");
    same([here.isRunning(), there.isRunning()], [true, false], "who runs");
    same([waiting.pitchHz, there.memory.read(0, 1)[0]], [440, 0], "the destination's machine");
  },

  async "grown, but not needed: it loads"() {
    const [here, there] = [board(), board()];
    const device = here.kernel.use(grown({ instance: 0 }));
    const arrived = there.kernel.use(small({ instance: 0 }));
    started(here);
    device.pitchHz = 500;
    const { source, destination } = await migrate(here.kernel, there.kernel);
    same([source.state.status, destination.state.status], ["completed", "completed"], "the migration");
    same(here.pagesSent() >= pageCount, true, "every page was sent");
    same([arrived.pitchHz, there.memory.read(9 * pageBytes, 1)[0]], [500, 10], "what arrived");
  },

  async "a newer receiver takes what is absent"() {
    const [here, there] = [board(), board()];
    const device = here.kernel.use(small({ instance: 0 }));
    const arrived = there.kernel.use(grown({ instance: 0 }));
    started(here);
    device.pitchHz = 500;
    arrived.melody.beatsPerMinute = 7;
    const { source, destination } = await migrate(here.kernel, there.kernel);
    same([source.state.status, destination.state.status], ["completed", "completed"], "the migration");
    same(arrived, { pitchHz: 500, melody: { beatsPerMinute: 120 } }, "what arrived");
  },
};

interface Both extends Board {
  readonly old: ReturnType<ReturnType<typeof small>["setup"]>;
  readonly young: ReturnType<ReturnType<typeof grown>["setup"]>;
}

let held = 0;
for (const [name, scenario] of Object.entries(scenarios)) {
  try {
    await scenario();
    held++;
    console.log(`ok  ${name}`);
  } catch (error) {
    console.log(`FAIL  ${name}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
console.log(`${held} of ${Object.keys(scenarios).length} held`);
