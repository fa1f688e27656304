// virtioBalloon(): a balloon. The guest gives pages up and takes them back; what that does to memory is injected.
import { MigrationError } from "@godwit/core";
import {
  isPageAbsent,
  segmentBytes,
  type VirtioDevice,
  type VirtioModel,
  type Virtqueue,
  type VirtqueueElement,
} from "@godwit/virtio-core";
import { configurationBytes, configurationWidths, writtenBy } from "./configuration.ts";
import { balloonFeature, hintCommand, hintStatus, queueIndex, ringSizes, section } from "./constants.ts";
import { type VirtioBalloonState, virtioBalloonDevice } from "./device-state.ts";
import { type MemoryRange, rangesOf } from "./pages.ts";
import { type MemoryStatistics, parseStatistics } from "./statistics.ts";

export interface VirtioBalloonOptions {
  /**
   * Gives memory back to the host; it reads as anything from now on. The range is the guest's word: what of it is no RAM
   * is to be left alone. Where memory has not come (post-copy) it may throw `PAGE_ABSENT` and do nothing: the request is
   * done again from its beginning when the page is there. So may `populate` and `hint`.
   */
  readonly discard: (gpa: number, length: number) => void;
  /** The guest takes memory back, and is about to use it. */
  readonly populate?: (gpa: number, length: number) => void;
  /** Offers free page hints, and takes them: nobody misses this memory unless it is written again. */
  readonly hint?: (gpa: number, length: number) => void;
  /** Offers free page reporting: the guest reports what it has freed, which is discarded. The default is false. */
  readonly reporting?: boolean;
  /** Offers PAGE_POISON: the guest says what its free pages are filled with. The default is true. */
  readonly pagePoison?: boolean;
  /** Lets the guest take pages back when it runs out of memory, without being asked. The default is false. */
  readonly deflateOnOom?: boolean;
  /** Told of the guest's memory statistics. */
  readonly onStatistics?: (statistics: MemoryStatistics) => void;
  /** The guest has another number of pages in the balloon. */
  readonly onActual?: (pages: number) => void;
}

export interface VirtioBalloonModel extends VirtioModel<VirtioBalloonState> {
  /** Pages of 4 KiB that the guest has given up. */
  readonly actual: number;
  /** Pages of 4 KiB that the host wants. */
  readonly target: number;
  setTarget(pages: number): void;
  /** Asks the guest for new statistics. False: it has not answered the last time, or has no room for them. */
  requestStatistics(): boolean;
  readonly hinting: keyof typeof hintStatus;
  /** Asks the guest for hints, which come until `stopHints`. False: it does not know of hints. */
  startHints(): boolean;
  /** The driver has reset one queue: what was taken from it is no more. */
  resetQueue(index: number): void;
  /** Hints that still come are void. `done`: the guest may use all that it hinted. */
  stopHints(done: boolean): void;
}

/** More page numbers than this in one request are not read: 1 GiB of memory. Bytes. */
const maxNumbersBytes = 1 << 20;
const maxStatisticsBytes = 4096;
const commandBytes = 4;
const anyElement: VirtqueueElement = { index: 0, out: [], in: [] };

export function virtioBalloon(options: VirtioBalloonOptions): VirtioBalloonModel {
  const { discard, populate, hint, reporting = false, pagePoison = true, deflateOnOom = false } = options;
  const hintQueue = hint === undefined ? -1 : queueIndex.stats + 1;
  const reportQueue = reporting ? queueIndex.stats + (hint === undefined ? 1 : 2) : -1;
  let device: VirtioDevice | undefined;
  let target = 0;
  let actual = 0;
  let poison = 0;
  let commandId: number = hintCommand.first;
  let hinting: number = hintStatus.stop;
  /** The guest's buffer for statistics, which it fills again when it is given back. Its ring has it as taken. */
  let statistics: VirtqueueElement | undefined;
  /** Between `quiesce` or `load` and the machine's running on: memory may have been sent. */
  let holding = false;
  let arrived = false;

  const littleEndian = (): boolean => device?.littleEndian ?? true;

  function eachElement(queue: Virtqueue, work: (element: VirtqueueElement) => void): void {
    let done = false;
    for (let element = queue.pop(); element !== undefined; element = queue.pop()) {
      try {
        work(element);
      } catch (error) {
        if (!isPageAbsent(error)) throw error;
        queue.suspend(element, error);
        break;
      }
      if (device?.broken) return;
      queue.push(element, 0);
      done = true;
    }
    if (done) queue.notify();
  }

  function numbered(queue: Virtqueue, each: ((gpa: number, length: number) => void) | undefined): void {
    eachElement(queue, (element) => {
      const length = segmentBytes(element.out);
      if (length > maxNumbersBytes) {
        device?.fail(`virtio-balloon: ${length} bytes of page numbers`);
        return;
      }
      for (const range of rangesOf(queue.read(element, 0, length), littleEndian())) each?.(range.gpa, range.length);
    });
  }

  function takeStatistics(queue: Virtqueue): void {
    for (let element = queue.pop(); element !== undefined; element = queue.pop()) {
      if (statistics !== undefined) queue.push(statistics, 0);
      statistics = element;
      const length = Math.min(segmentBytes(element.out), maxStatisticsBytes);
      const parsed = parseStatistics(queue.read(element, 0, length), littleEndian());
      if (!device?.broken) options.onStatistics?.(parsed);
    }
  }

  /** A command's id begins or ends a run of hints; what can be written to is free. */
  function takeHints(queue: Virtqueue): void {
    eachElement(queue, (element) => {
      if (element.out.length > 0) takeCommand(queue.read(element, 0, commandBytes));
      if (hinting === hintStatus.start) for (const range of freeOf(element)) hint?.(range.gpa, range.length);
    });
  }

  function takeCommand(bytes: Uint8Array): void {
    if (bytes.length < commandBytes) return;
    const id = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, littleEndian());
    if (id === commandId && hinting === hintStatus.requested) hinting = hintStatus.start;
    // The guest has told all that it has, and stays ready for the next command.
    else if (id === hintCommand.stop && hinting === hintStatus.start) hinting = hintStatus.stop;
  }

  function freeOf(element: VirtqueueElement): MemoryRange[] {
    return element.in.map(({ address, length }) => ({ gpa: address, length }));
  }

  /** Discarded pages read as zeros: where the guest counts on another fill, they stay. */
  function takeReports(queue: Virtqueue): void {
    const filled = (device?.has(balloonFeature.PAGE_POISON) ?? false) && poison !== 0;
    eachElement(queue, (element) => {
      if (!filled) for (const range of freeOf(element)) discard(range.gpa, range.length);
    });
  }

  function serve(queue: Virtqueue, index: number): void {
    if (holding) return;
    if (index === queueIndex.inflate) numbered(queue, discard);
    else if (index === queueIndex.deflate) numbered(queue, populate);
    else if (index === queueIndex.stats) takeStatistics(queue);
    else if (index === hintQueue) takeHints(queue);
    else if (index === reportQueue) takeReports(queue);
  }

  function commandInConfiguration(): number | undefined {
    if (hint === undefined && !pagePoison) return undefined;
    if (hinting === hintStatus.done) return hintCommand.done;
    return hinting === hintStatus.stop ? hintCommand.stop : commandId;
  }

  const configuration = (): Uint8Array =>
    configurationBytes({
      pages: target,
      actual,
      hintCommandId: commandInConfiguration(),
      poison: pagePoison ? poison : undefined,
    });

  return {
    name: section.name,
    sectionVersion: section.version,
    minimumVersion: section.minimumVersion,
    deviceId: section.deviceId,
    description: virtioBalloonDevice,
    features:
      balloonFeature.STATS_VQ |
      (deflateOnOom ? balloonFeature.DEFLATE_ON_OOM : 0n) |
      (hint === undefined ? 0n : balloonFeature.FREE_PAGE_HINT) |
      (pagePoison ? balloonFeature.PAGE_POISON : 0n) |
      (reporting ? balloonFeature.REPORTING : 0n),
    queueSizes: [
      ringSizes.memory,
      ringSizes.memory,
      ringSizes.memory,
      ...(hint === undefined ? [] : [ringSizes.hints]),
      ...(reporting ? [ringSizes.reports] : []),
    ],
    configWidths: configurationWidths,
    configBytes: configuration,
    writeConfig(offset, bytes) {
      const image = configuration();
      image.set(bytes, offset);
      const written = writtenBy(image);
      poison = written.poison ?? poison;
      if (written.actual === actual) return;
      actual = written.actual;
      options.onActual?.(actual);
    },
    attach(to) {
      device = to;
    },
    kick: serve,
    reset() {
      statistics = undefined;
      poison = 0;
      hinting = hintStatus.stop;
    },
    save: () => ({
      num_pages: target,
      actual,
      free_page_report: device?.has(balloonFeature.FREE_PAGE_HINT)
        ? { free_page_hint_cmd_id: commandId, free_page_hint_status: hinting }
        : { free_page_hint_cmd_id: hintCommand.first, free_page_hint_status: hintStatus.stop },
      page_poison: { poison_val: device?.has(balloonFeature.PAGE_POISON) ? poison : 0 },
    }),
    check: checkState,
    load(state) {
      target = state.num_pages;
      actual = state.actual;
      commandId = state.free_page_report.free_page_hint_cmd_id;
      hinting = state.free_page_report.free_page_hint_status;
      poison = state.page_poison.poison_val;
      statistics = undefined;
      holding = true;
      arrived = true;
    },
    async quiesce() {
      holding = true;
    },
    resumed() {
      holding = false;
      if (!arrived) return;
      arrived = false;
      // The buffer for statistics was taken elsewhere, and does not travel: it is the next one of its ring again.
      const queue = device?.queues[queueIndex.stats];
      while (device?.running && queue?.ready && queue.inuse > 0) queue.unpop(anyElement);
    },
    resetQueue(index) {
      if (index === queueIndex.stats) statistics = undefined;
    },
    get actual() {
      return actual;
    },
    get target() {
      return target;
    },
    setTarget(pages) {
      if (!Number.isInteger(pages) || pages < 0 || pages > 0xffff_ffff) {
        throw new RangeError(`the target of a balloon is a number of pages, not ${pages}`);
      }
      if (pages === target) return;
      target = pages;
      device?.configChanged();
    },
    requestStatistics() {
      const queue = device?.queues[queueIndex.stats];
      if (holding || statistics === undefined || queue === undefined || device?.broken) return false;
      queue.push(statistics, 0);
      statistics = undefined;
      queue.notify();
      return true;
    },
    get hinting() {
      return (Object.keys(hintStatus) as (keyof typeof hintStatus)[])[hinting] as keyof typeof hintStatus;
    },
    startHints() {
      if (holding || !device?.running || !device.has(balloonFeature.FREE_PAGE_HINT)) return false;
      // Ids from `first` on, so that none is that of stop or done.
      commandId = commandId === 0xffff_ffff ? hintCommand.first : commandId + 1;
      hinting = hintStatus.requested;
      device.configChanged();
      return true;
    },
    stopHints(done) {
      const next = done ? hintStatus.done : hintStatus.stop;
      if (hinting === next) return;
      hinting = next;
      device?.configChanged();
    },
  };
}

function checkState({ free_page_report: { free_page_hint_status: status } }: VirtioBalloonState): undefined {
  if (status <= hintStatus.done) return undefined;
  throw new MigrationError("DEVICE_CHECK", "free page hinting is in no state that there is", {
    path: "device.free_page_report.free_page_hint_status",
    expected: `0 to ${hintStatus.done}`,
    found: String(status),
  });
}
