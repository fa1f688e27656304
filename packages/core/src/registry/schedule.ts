// The order of checks and loads: what a device depends on comes first, whatever order the stream had.
import { MigrationError } from "../errors.ts";
import { sectionKey } from "../stream/sections.ts";
import { type Entry, nameOf, type Registry } from "./registry.ts";

export interface Schedule {
  readonly order: readonly Entry[];
  /** Comparisons of two entries: the measure of work. */
  readonly comparisons: number;
}

interface Task {
  readonly entry: Entry;
  /** Place in the save order, which decides where dependencies do not. */
  readonly rank: number;
  waitsFor: number;
  readonly before: Task[];
}

/**
 * Devices in dependency order; the save order breaks ties, so that independent devices load as QEMU would. A name that
 * is not registered is `DEPENDENCY_UNKNOWN`, a circle `DEPENDENCY_CYCLE` with its members. `first` comes before all.
 */
export function schedule(registry: Registry, first?: Entry): Schedule {
  const tasks = new Map<Entry, Task>();
  if (first !== undefined) tasks.set(first, { entry: first, rank: -1, waitsFor: 0, before: [] });
  for (const entry of registry.inSaveOrder()) {
    if (entry === first) continue;
    if (entry.device !== undefined) tasks.set(entry, { entry, rank: tasks.size, waitsFor: 0, before: [] });
    else checkIterable(registry, entry);
  }
  for (const task of tasks.values()) {
    for (const name of task.entry.after) {
      for (const entry of dependencies(registry, task.entry, name)) {
        // Iterables are complete before any device is looked at.
        const earlier = tasks.get(entry);
        if (earlier === undefined || earlier === task) continue;
        earlier.before.push(task);
        task.waitsFor++;
      }
    }
  }
  const heap = new Heap();
  for (const task of tasks.values()) if (task.waitsFor === 0) heap.push(task);
  const order: Entry[] = [];
  for (let task = heap.pop(); task !== undefined; task = heap.pop()) {
    order.push(task.entry);
    for (const next of task.before) if (--next.waitsFor === 0) heap.push(next);
  }
  if (order.length < tasks.size) throw cycle([...tasks.values()].filter((t) => t.waitsFor > 0));
  return { order, comparisons: heap.comparisons };
}

function dependencies(registry: Registry, entry: Entry, name: Entry["after"][number]): readonly Entry[] {
  const entries = registry.resolve(name);
  if (entries.length === 0) {
    const found = nameOf(name);
    const others = registry.inSaveOrder().filter((one) => one !== entry);
    const names = new Set(others.map((one) => (found === name ? one.idstr : sectionKey(one))));
    throw new MigrationError("DEPENDENCY_UNKNOWN", "the device waits for one that is not registered", {
      side: "define",
      section: sectionKey(entry),
      expected: `such as ${nearest(found, names)}`,
      found,
    });
  }
  return entries;
}

/** The five that have the most of its letters: a list that nobody reads helps nobody. */
function nearest(wanted: string, names: Iterable<string>): string {
  const lacks = (name: string) => [...wanted].filter((letter) => !name.includes(letter)).length;
  const all = [...names].sort((a, b) => lacks(a) - lacks(b));
  return all.slice(0, 5).join(", ");
}

/** The chunks of an iterable are taken in as they arrive, before any device: it cannot wait for one. */
function checkIterable(registry: Registry, entry: Entry): void {
  for (const name of entry.after) {
    for (const first of dependencies(registry, entry, name)) {
      if (first.iterable !== undefined) continue;
      throw new MigrationError("DEPENDENCY_ITERABLE", "an iterable handler cannot wait for a device", {
        side: "define",
        section: sectionKey(entry),
        found: sectionKey(first),
      });
    }
  }
}

function cycle(stuck: readonly Task[]): MigrationError {
  const waitsOn = new Map<Task, Task>();
  for (const task of stuck) for (const next of task.before) waitsOn.set(next, task);
  const path = new Set<Task>();
  let at = stuck[0] as Task;
  while (!path.has(at)) {
    path.add(at);
    at = waitsOn.get(at) as Task;
  }
  const ring = [...path].slice([...path].indexOf(at));
  const names = [...ring, at].map((task) => sectionKey(task.entry));
  return new MigrationError("DEPENDENCY_CYCLE", `devices wait for each other: ${names.join(" waits for ")}`, {
    side: "define",
    section: names[0],
  });
}

/** A binary heap by rank. */
class Heap {
  comparisons = 0;
  readonly #tasks: Task[] = [];

  push(task: Task): void {
    const tasks = this.#tasks;
    let at = tasks.push(task) - 1;
    while (at > 0) {
      const up = (at - 1) >> 1;
      if (this.#before(tasks[up] as Task, task)) break;
      tasks[at] = tasks[up] as Task;
      at = up;
    }
    tasks[at] = task;
  }

  pop(): Task | undefined {
    const tasks = this.#tasks;
    const first = tasks[0];
    const last = tasks.pop();
    if (last === undefined || tasks.length === 0) return first;
    let at = 0;
    for (;;) {
      let down = 2 * at + 1;
      if (down >= tasks.length) break;
      if (down + 1 < tasks.length && this.#before(tasks[down + 1] as Task, tasks[down] as Task)) down++;
      if (this.#before(last, tasks[down] as Task)) break;
      tasks[at] = tasks[down] as Task;
      at = down;
    }
    tasks[at] = last;
    return first;
  }

  #before(a: Task, b: Task): boolean {
    this.comparisons++;
    return a.rank < b.rank;
  }
}
