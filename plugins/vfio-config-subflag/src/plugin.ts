// vfioPci(): a device behind a vendor driver becomes a PCI function of the machine, which migrates.
import { type Dependency, MigrationError, type Plugin, type Registration } from "@godwit/core";
import { vfioError } from "./codes.ts";
import { blockedCapabilities, type VfioContainer } from "./container.ts";
import { type VfioRecordState, vfioRecord } from "./descriptions.ts";
import { VfioFunction } from "./function.ts";
import type { InterruptRouter } from "./interrupts.ts";
import { dialectVersion, subFlag, type VfioDialect } from "./markers.ts";
import type { ConfigSpaceInit } from "./pci-core.ts";
import { vfioSource } from "./source.ts";
import { StagedVfio, type StagedVfioOffer } from "./staged.ts";
import type { DriverHost, VendorDriver } from "./vendor-driver.ts";
import { version } from "./version.ts";

export interface VfioPciOptions<D extends VendorDriver> {
  /** The function's place, such as `0000:00:05.0`; the section is `<path>/vfio`. */
  readonly path: string;
  readonly container: VfioContainer;
  readonly config: ConfigSpaceInit;
  /** Opens the device. Called once for the machine, and once for each load. */
  readonly driver: (host: DriverHost) => D;
  readonly interrupts: InterruptRouter;
  /** The interrupt controller, and what else must be loaded before interrupts are enabled. */
  readonly after: readonly Dependency[];
  /** The default is `merged`, QEMU's form: the only one for a QEMU peer. */
  readonly dialect?: VfioDialect;
  /** Longest chunk of device data, sent or taken. Bytes; the default is 1 MiB, as QEMU's. */
  readonly chunkBytes?: number;
  /** The source tells when the device's initial data has gone (QEMU: switchover-ack). The default is false. */
  readonly switchoverAck?: boolean;
  /** On the destination: it has told so. */
  readonly initialDataLoaded?: () => void;
}

export interface VfioPciOffer<D extends VendorDriver> {
  readonly registration: Registration;
  readonly function: VfioFunction<D>;
  /** Migration capabilities that the machine does not have because of this device. */
  readonly blockedCapabilities: readonly string[];
  /** Takes the device out (hot-unplug). */
  remove(): void;
}

const defaultChunkBytes = 1024 * 1024;

/** `DEFINITION_INVALID` for a path or a chunk size that cannot be. */
export function vfioPci<D extends VendorDriver>(options: VfioPciOptions<D>): Plugin<VfioPciOffer<D>> {
  const { path, container, dialect = "merged", chunkBytes = defaultChunkBytes, after } = options;
  if (path === "") throw refused("path", "a PCI path, such as 0000:00:05.0", path);
  if (!Number.isInteger(chunkBytes) || chunkBytes < 1) throw refused("chunkBytes", "at least 1", chunkBytes);
  return {
    name: "@godwit/vfio-config-subflag",
    version,
    contract: 2,
    setup(kernel) {
      const idstr = `${path}/vfio`;
      const self: Dependency = { idstr, instance: 0 };
      const isMachineRunning = (): boolean => kernel.clock.running;
      const own = new VfioFunction<D>({ ...options, isMachineRunning });
      const source = vfioSource({
        function: own,
        container,
        dialect,
        chunkBytes,
        switchoverAck: options.switchoverAck ?? false,
        isMachineRunning,
      });
      const registration = kernel.iterable(
        {
          idstr,
          instance: 0,
          version: dialectVersion[dialect],
          setup: (out) => source.setup(out),
          pending: (exact) => source.pending(exact),
          iterate: (out, budgetBytes) => source.iterate(out, budgetBytes),
          complete: (out, budgetBytes) => source.complete(out, budgetBytes),
          cleanup: (completed) => source.cleanup(completed),
          stage: () =>
            new StagedVfio({
              function: own,
              maxDataBytes: chunkBytes,
              initialDataLoaded: () => options.initialDataLoaded?.(),
            }),
        },
        {
          description: vfioRecord(dialect, own.parameters),
          device: {
            after,
            save: () => ({ state: source.record() }),
            check: ({ state }, view) => checkRecord(own, state, view.offer<StagedVfioOffer>(self)),
            load({ state: { device } }) {
              if (device !== null) own.load(device);
              own.enableInterrupts();
            },
            resumed() {
              container.start();
              own.interrupts.deliver();
            },
          },
        },
      );
      const leave = container.add({
        idstr,
        get device() {
          return own.device;
        },
        get isSending() {
          return source.isSending;
        },
      });
      return {
        registration,
        function: own,
        blockedCapabilities,
        remove() {
          registration.remove();
          leave();
        },
      };
    },
  };
}

/** The record must bring configuration space where nothing else did, and only there. */
function checkRecord<D extends VendorDriver>(
  own: VfioFunction<D>,
  { sub_flag, device }: VfioRecordState,
  { configAtEnd }: StagedVfioOffer,
): void {
  if ((device !== null) === configAtEnd) {
    throw vfioError("VFIO_CONFIG", configAtEnd ? "configuration space came twice" : "no configuration space came", {
      path: "state.sub_flag",
      expected: `0x${(configAtEnd ? subFlag.enableInterrupts : subFlag.config | subFlag.enableInterrupts).toString(16)}`,
      found: `0x${sub_flag.toString(16)}`,
    });
  }
  if (device !== null) own.check(device, "state.device.pci_dev.config");
}

function refused(what: string, expected: string, found: unknown): MigrationError {
  return new MigrationError("DEFINITION_INVALID", `vfioPci's ${what} cannot be`, {
    side: "define",
    expected,
    found: String(found),
  });
}
