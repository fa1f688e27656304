// virtioPci(): a device model becomes a PCI function of the machine.
import { MigrationError, type Plugin } from "@godwit/core";
import { type Dma, feature, virtioDevice } from "@godwit/virtio-core";
import { VirtioPciFunction } from "./function.ts";
import type { VirtioPciOffer, VirtioPciOptions, VirtioPciParameters } from "./types.ts";
import { version } from "./version.ts";

const defaultRingFeatures = feature.RING_INDIRECT_DESC | feature.RING_EVENT_IDX;
/** What the vector field of MSI-X has room for. */
const maxVectors = 2048;

/** Registers the section `0000:bus:slot.function/model` of a modern virtio function. */
export function virtioPci<S, L>(options: VirtioPciOptions<S, L>): Plugin<VirtioPciOffer> {
  const { slot, model, signalMsi, setIntx = () => {} } = options;
  if (!/^[0-9a-f]{2}:[01][0-9a-f]\.[0-7]$/.test(slot))
    throw refused("slot", "bus:slot.function, such as 00:02.0", slot);
  const msixVectors = options.msixVectors ?? model.queueSizes.length + 1;
  if (!Number.isInteger(msixVectors) || msixVectors < 0 || msixVectors > maxVectors) {
    throw refused("msixVectors", `0 to ${maxVectors}`, msixVectors);
  }
  const accessPlatform = options.accessPlatform === false ? 0n : feature.ACCESS_PLATFORM;
  const required = feature.VERSION_1 | accessPlatform;
  const parameters: VirtioPciParameters = {
    hostFeatures: required | (options.ringFeatures ?? defaultRingFeatures) | model.features,
    dialect: options.dialect ?? "10.0",
    configBytes: 256,
    msixVectors,
    modern: true,
  };
  return {
    name: "@godwit/virtio-pci",
    version,
    contract: 2,
    setup(kernel) {
      let pci: VirtioPciFunction | undefined;
      const wired = virtioDevice({
        kernel,
        path: `0000:${slot}`,
        model,
        dma: behindBusMaster(slot, () => pci?.busMaster ?? false, options.dma),
        parameters,
        requiredFeatures: required,
        transport: (device) => {
          pci = new VirtioPciFunction({ bdf: slot, deviceId: model.deviceId, parameters, signalMsi, setIntx }, device);
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
  return {
    after: dma.after,
    read: (address, length) => mastered().read(address, length),
    write: (address, bytes) => mastered().write(address, bytes),
    staged: (view) => dma.staged(view),
  };
}

function refused(what: string, expected: string, found: unknown): MigrationError {
  return new MigrationError("DEFINITION_INVALID", `virtio-pci's ${what} cannot be`, { expected, found: String(found) });
}
