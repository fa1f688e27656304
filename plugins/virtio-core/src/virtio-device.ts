// virtioDevice(): a model and a transport become one device, which saves, checks and loads as one section.
import type { KernelForPlugins, MigrationError, Registration } from "@godwit/core";
import { absentIn, demandBuffers } from "./absent.ts";
import { checkState } from "./check-state.ts";
import { CommonDevice } from "./device.ts";
import type { Dma } from "./dma.ts";
import { loadState } from "./load.ts";
import type { VirtioModel } from "./model.ts";
import type { NoData } from "./no-data.ts";
import type { Parts } from "./parts.ts";
import { saveState } from "./save.ts";
import { type VirtioParameters, virtioSection } from "./section.ts";
import type { TransportedDevice, VirtioTransport } from "./transport.ts";

export interface VirtioDeviceInit<T, D, L> {
  readonly kernel: KernelForPlugins;
  /** The transport's place, such as `0000:00:02.0`; the section is `path/name`. */
  readonly path: string;
  readonly model: VirtioModel<D, L>;
  readonly dma: Dma;
  /** The offered features of the device, the ring and the transport, and what else decides about the wire. */
  readonly parameters: VirtioParameters;
  /** Bits without which a driver's FEATURES_OK is refused. */
  readonly requiredFeatures?: bigint;
  /** Byte order of the guest's CPU when a driver resets the device; the target's if not given. For legacy drivers. */
  readonly cpuEndian?: () => "little" | "big";
  /** Makes the transport, which keeps the device to drive it. */
  readonly transport: (device: TransportedDevice) => T;
}

export interface WiredDevice<T> {
  readonly device: TransportedDevice;
  readonly transport: T;
  readonly registration: Registration;
  /** What the kernel is given as `resumed`: pending interrupts go out, queues that hold something are looked at. */
  resume(): void;
}

/** Wires a device to its transport and registers its section, to be checked and loaded after what its memory comes from. */
export function virtioDevice<C, Q, X, T extends VirtioTransport<C, Q, X>, D, L = NoData>(
  init: VirtioDeviceInit<T & VirtioTransport<C, Q, X>, D, L>,
): WiredDevice<T> {
  const { kernel, model, dma, parameters } = init;
  const { hostFeatures, targetEndian = "little" } = parameters;
  const common = new CommonDevice({
    model,
    dma,
    hostFeatures,
    requiredFeatures: init.requiredFeatures ?? 0n,
    queueSizes: model.queueSizes,
    targetEndian,
    cpuEndian: init.cpuEndian ?? (() => targetEndian),
  });
  const transport = init.transport(common);
  const parts: Parts<C, Q, X, D, L> = { common, transport, model };
  common.transport = transport;
  model.attach?.(common);
  const description = virtioSection<C, Q, X, D, L>({
    name: model.name,
    version: model.sectionVersion,
    minimumVersion: model.minimumVersion,
    parameters,
    transport: transport.descriptions,
    device: model.description,
    ...(model.legacySave === undefined ? {} : { legacySave: model.legacySave }),
  });
  const registration = kernel.device(description, {
    path: init.path,
    after: dma.after,
    async quiesce() {
      common.standing = true;
      await model.quiesce?.();
    },
    save: () => saveState(parts),
    check: (state, view) => checkState(parts, state, dma.staged(view)),
    load(state) {
      common.standing = true;
      loadState(parts, state);
      // All devices are loaded before the first is waited for: so all of them ask at once.
      absentToTaken(common, model);
    },
    async ready() {
      await model.ready?.();
      await memoryOfTaken(common, model);
    },
    resumed: () => resume(parts),
  });
  return { device: common, transport, registration, resume: () => resume(parts) };
}

/** Requests that came with the state are taken up when the machine runs: their memory must be there by then (post-copy). */
async function memoryOfTaken<D, L>(common: CommonDevice, model: VirtioModel<D, L>): Promise<void> {
  for (;;) {
    // Again after each wait: only behind a table that has come is it known what it leads to.
    const absent = absentToTaken(common, model);
    if (absent.length === 0) return;
    await Promise.all(absent.map((error) => common.dma.postcopy?.whenPresent(error)));
  }
}

function absentToTaken<D, L>(common: CommonDevice, model: VirtioModel<D, L>): MigrationError[] {
  const { postcopy } = common.dma;
  if (!postcopy?.active) return [];
  return absentIn(postcopy, (memory) => {
    for (const queue of common.queues) queue.demandRing(memory);
    for (const element of model.takenElements?.() ?? []) demandBuffers(memory, element);
  });
}

function resume<C, Q, X, D, L>({ common, transport, model }: Parts<C, Q, X, D, L>): void {
  common.standing = false;
  transport.resumed?.();
  common.announceFailure();
  model.resumed?.();
  for (const { index } of common.queues) common.kick(index);
}
