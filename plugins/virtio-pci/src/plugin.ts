// virtioPci(): a device model becomes a PCI function of the machine.
import { MigrationError, type Plugin } from "@godwit/core";
import { type Dma, feature, virtioDevice } from "@godwit/virtio-core";
import { VirtioPciFunction } from "./function.ts";
import { legacyDeviceIds, legacyFeature } from "./registers.ts";
import type { VirtioPciOffer, VirtioPciOptions, VirtioPciParameters } from "./types.ts";
import { version } from "./version.ts";

const defaultRingFeatures = feature.RING_INDIRECT_DESC | feature.RING_EVENT_IDX | feature.RING_RESET;
/** What the vector field of MSI-X has room for. */
const maxVectors = 2048;
const lowFeatures = 0xffff_ffffn;

/** Registers the section `path/model` of a virtio function. */
export function virtioPci<S, L>(options: VirtioPciOptions<S, L>): Plugin<VirtioPciOffer> {
  const { slot, model, signalMsi, setIntx = () => {}, mode = "modern", express = false } = options;
  if (!/^[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/.test(slot))
    throw refused("slot", "bus:slot.function, such as 00:02.0", slot);
  const msixVectors = options.msixVectors ?? model.queueSizes.length + 1;
  if (!Number.isInteger(msixVectors) || msixVectors < 0 || msixVectors > maxVectors) {
    throw refused("msixVectors", `0 to ${maxVectors}`, msixVectors);
  }
  const modern = mode !== "legacy";
  if (mode !== "modern" && legacyDeviceIds[model.deviceId] === undefined) {
    throw refused("mode", `modern, as virtio device ${model.deviceId} has no legacy id`, mode);
  }
  const accessPlatform = options.accessPlatform ?? mode === "modern";
  if (accessPlatform && mode !== "modern") throw refused("accessPlatform", `false of a ${mode} function`, true);
  const ring = options.ringFeatures ?? defaultRingFeatures;
  // A driver of the legacy registers has neither FEATURES_OK nor bits from 32 on.
  const legacyOnly = mode === "modern" ? 0n : (options.legacyFeatures ?? legacyFeature.ANY_LAYOUT);
  const required = (modern ? feature.VERSION_1 : 0n) | (accessPlatform ? feature.ACCESS_PLATFORM : 0n);
  const hostFeatures = required | ring | model.features | legacyOnly;
  const parameters: VirtioPciParameters = {
    hostFeatures,
    dialect: options.dialect ?? "10.0",
    configBytes: express === false ? 256 : 4096,
    msixVectors,
    modern,
    ...(options.targetEndian === undefined ? {} : { targetEndian: options.targetEndian }),
  };
  return {
    name: "@godwit/virtio-pci",
    version,
    contract: 2,
    setup(kernel) {
      let pci: VirtioPciFunction | undefined;
      const wired = virtioDevice({
        kernel,
        path: options.path ?? `0000:${slot}`,
        model,
        dma: behindBusMaster(slot, () => pci?.busMaster ?? false, options.dma),
        parameters,
        requiredFeatures: required,
        ...(options.cpuEndian === undefined ? {} : { cpuEndian: options.cpuEndian }),
        transport: (device) => {
          pci = new VirtioPciFunction(
            {
              bdf: slot,
              deviceId: model.deviceId,
              mode,
              express: express === false ? undefined : { ats: express !== true && express.ats },
              parameters,
              configLength: model.configBytes().length,
              offered: { modern: hostFeatures & ~legacyOnly, legacy: Number(hostFeatures & lowFeatures) },
              signalMsi,
              setIntx,
            },
            device,
          );
          return pci;
        },
      });
      const { registration, device, transport } = wired;
      return { registration, function: transport, device, reset: () => transport.resetFunction() };
    },
  };
}

/** A function that is no bus master reaches nothing. What is staged is looked at as the incoming state says. */
function behindBusMaster(slot: string, isBusMaster: () => boolean, dma: Dma): Dma {
  const mastered = (): Dma => {
    if (isBusMaster()) return dma;
    throw new MigrationError("TRANSLATION_FAULT", `${slot} is not a bus master`);
  };
  const { postcopy } = dma;
  return {
    after: dma.after,
    read: (address, length) => mastered().read(address, length),
    write: (address, bytes) => mastered().write(address, bytes),
    staged: (view) => dma.staged(view),
    ...(postcopy && {
      postcopy: {
        get active() {
          return isBusMaster() && postcopy.active;
        },
        demand: (address, length, write) => postcopy.demand(address, length, write),
        whenPresent: (error) => postcopy.whenPresent(error),
      },
    }),
  };
}

function refused(what: string, expected: string, found: unknown): MigrationError {
  return new MigrationError("DEFINITION_INVALID", `virtio-pci's ${what} cannot be`, { expected, found: String(found) });
}
