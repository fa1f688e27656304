// What a virtio-pci section depends on, found from its bytes: nothing on the wire says it outright.
import { type Description, isMigrationError, MigrationError, type SectionSample } from "@godwit/core";
import { hex, inferVirtio, misread, noVector, type VirtioClass, type VirtioRecord } from "@godwit/virtio-core";
import { capabilitiesOf } from "./capabilities.ts";
import { virtioPciTransport } from "./descriptions.ts";
import { capabilityId, header, legacyDeviceIds, modernDeviceBase, msixControl, virtioVendor } from "./registers.ts";
import { virtioPciSection } from "./section.ts";
import type { VirtioPciParameters } from "./types.ts";

type ConfigBytes = VirtioPciParameters["configBytes"];

/** One way to read the section, and where it ends. */
interface Reading<P> {
  readonly parameters: P & VirtioPciParameters;
  readonly end: number;
}

/** `version_id`, which QEMU writes before configuration space. Bytes. */
const beforeConfig = 4;
const footerByte = 0x7e;

/**
 * Finds the parameters of a section. `PARAMETER_WRONG` where nothing fits or facts contradict each other,
 * `PARAMETER_AMBIGUOUS` where more than one reading fits, `STREAM_TRUNCATED` where the sample is too short to tell.
 */
export function inferVirtioPci<P, S, L>(device: VirtioClass<P, S, L>, sample: SectionSample): P & VirtioPciParameters {
  const config = sample.bytes.subarray(beforeConfig, beforeConfig + 256);
  if (config.length < 256) throw truncated("transport.pci_dev.config", sample.bytes.length);
  const msixVectors = vectorsIn(config);
  checkDeviceId(device, config);
  const readings: Reading<P>[] = [];
  const refusals: unknown[] = [];
  for (const configBytes of configSizes(config)) {
    try {
      const reading = readAs(device, sample, { configBytes, msixVectors });
      // Zeros can be read as anything. A reading is right only where it ends with the section.
      if (endsAt(sample, reading.end)) readings.push(reading);
      else refusals.push(misread("configBytes", "a section that ends with its footer", `one of ${reading.end} bytes`));
    } catch (error) {
      if (!isMigrationError(error)) throw error;
      refusals.push(error);
    }
  }
  const [reading, other] = readings;
  if (other !== undefined) {
    throw new MigrationError("PARAMETER_AMBIGUOUS", "PCI configuration space can be of 256 and of 4096 bytes", {
      path: "configBytes",
      found: readings.map(({ end }) => `a section of ${end} bytes`).join(", and "),
    });
  }
  if (reading === undefined) throw refusals[0];
  return reading.parameters;
}

/** Whether a section of `end` bytes is what the vmdesc says, or else what its footer or the sample's end say. */
function endsAt({ bytes, vmdesc }: SectionSample, end: number): boolean {
  const { fields } = vmdesc ?? {};
  if (fields === undefined) return end === bytes.length || bytes[end] === footerByte;
  return end === fields.reduce((sum, { size, array_len = 1 }) => sum + size * array_len, 0);
}

/** A PCI Express function has 4,096 bytes. Without that capability nothing says so, and both are tried. */
function configSizes(config: Uint8Array): readonly ConfigBytes[] {
  return capabilitiesOf(config).some(({ id }) => id === capabilityId.express) ? [4096] : [256, 4096];
}

function vectorsIn(config: Uint8Array): number {
  const found = capabilitiesOf(config).filter(({ id }) => id === capabilityId.msix);
  const [msix, second] = found;
  if (second !== undefined) throw misread("msixVectors", "one MSI-X capability", String(found.length));
  return msix === undefined ? 0 : (u16(config, msix.at + 2) & msixControl.size) + 1;
}

function checkDeviceId<P, S, L>({ deviceId }: VirtioClass<P, S, L>, config: Uint8Array): void {
  const [vendor, id] = [u16(config, header.vendor), u16(config, header.device)];
  if (vendor !== virtioVendor) throw misread("transport.pci_dev.config[0]", hex(virtioVendor), hex(vendor));
  const legacy = legacyDeviceIds[deviceId];
  const expected = [modernDeviceBase + deviceId, ...(legacy === undefined ? [] : [legacy])];
  if (!expected.includes(id)) throw misread("transport.pci_dev.config[2]", expected.map(hex).join(" or "), hex(id));
}

function readAs<P, S, L>(
  device: VirtioClass<P, S, L>,
  sample: SectionSample,
  known: Pick<VirtioPciParameters, "configBytes" | "msixVectors">,
): Reading<P> {
  let deviceId = 0;
  return inferVirtio({
    device,
    sample,
    known: { ...known, modern: true, migrateExtra: true },
    transport: virtioPciTransport,
    section: (parameters: P & VirtioPciParameters) => virtioPciSection(device, parameters) as Description,
    check(config, queues) {
      deviceId = u16(config.pci_dev.config, header.device);
      checkVector(config.config_vector, known, "transport.config_vector");
      queues.forEach(({ transport }, i) => {
        checkVector(transport.vector, known, `vqs[${i}].transport.vector`);
      });
    },
    told: (virtio) => extraFacts(virtio, deviceId),
  });
}

function checkVector(vector: number, { msixVectors }: Pick<VirtioPciParameters, "msixVectors">, path: string): void {
  if (vector !== noVector && vector >= msixVectors)
    throw misread(path, `below ${msixVectors}, or 0xffff`, String(vector));
}

function extraFacts(virtio: VirtioRecord, deviceId: number): { migrateExtra: boolean; modern: boolean } {
  const extra = virtio["extra_state"]?.["extra_state"] as Record<string, unknown> | undefined;
  const modern = extra?.["modern_state"] !== undefined;
  if (extra !== undefined && !modern && deviceId >= modernDeviceBase) {
    throw misread("virtio.extra_state.extra_state.modern_state", "sent by a function that is modern only", "absent");
  }
  return { migrateExtra: extra !== undefined, modern };
}

function u16(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}

function truncated(path: string | undefined, length: number): MigrationError {
  return new MigrationError("STREAM_TRUNCATED", "the section ends before its parameters can be told", {
    path,
    offset: length,
  });
}
