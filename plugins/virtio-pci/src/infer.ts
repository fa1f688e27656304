// What a virtio-pci section depends on, found from its bytes: nothing on the wire says it outright.
import {
  Cursor,
  encodeState,
  isMigrationError,
  MigrationError,
  recordDecoder,
  type SectionSample,
  toState,
  vmstate,
  type WireRecord,
} from "@godwit/core";
import { commonFields, feature, hex, noVector, type VirtioDialect } from "@godwit/virtio-core";
import { capabilitiesOf } from "./capabilities.ts";
import { virtioPciTransport } from "./descriptions.ts";
import { capabilityId, header, legacyDeviceIds, modernDeviceBase, msixControl, virtioVendor } from "./registers.ts";
import { virtioPciSection } from "./section.ts";
import type { VirtioPciClass, VirtioPciFacts, VirtioPciParameters } from "./types.ts";

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
export function inferVirtioPci<P, S, L>(
  device: VirtioPciClass<P, S, L>,
  sample: SectionSample,
): P & VirtioPciParameters {
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

function checkDeviceId<P, S, L>({ deviceId }: VirtioPciClass<P, S, L>, config: Uint8Array): void {
  const [vendor, id] = [u16(config, header.vendor), u16(config, header.device)];
  if (vendor !== virtioVendor) throw misread("transport.pci_dev.config[0]", hex(virtioVendor), hex(vendor));
  const legacy = legacyDeviceIds[deviceId];
  const expected = [modernDeviceBase + deviceId, ...(legacy === undefined ? [] : [legacy])];
  if (!expected.includes(id)) throw misread("transport.pci_dev.config[2]", expected.map(hex).join(" or "), hex(id));
}

function readAs<P, S, L>(
  device: VirtioPciClass<P, S, L>,
  sample: SectionSample,
  known: Pick<VirtioPciParameters, "configBytes" | "msixVectors">,
): Reading<P> {
  // Whatever is offered, the bytes are read alike; `needed` alone depends on it.
  const reading: VirtioPciParameters = { ...known, hostFeatures: 0n, dialect: "10.0", modern: true };
  const facts = readCommon(sample.bytes, reading);
  const own = device.infer(facts);
  const decode = (parameters: P & VirtioPciParameters) =>
    decodePrefix(virtioPciSection(device, parameters), sample.version, sample.bytes);
  const { record, end } = decode({ ...own, ...reading });
  const told = factsOf(record, facts);
  const bytes = sample.bytes.subarray(0, end);
  const candidates = told.dialects.map((dialect) => ({ ...own, ...reading, ...told.parameters, dialect }));
  const exact = candidates.find((parameters) => {
    const description = virtioPciSection(device, parameters);
    return sameBytes(bytes, () => encodeState(description, toState(description, decode(parameters).record)));
  });
  return { parameters: exact ?? (candidates[0] as P & VirtioPciParameters), end };
}

function readCommon(bytes: Uint8Array, parameters: VirtioPciParameters): VirtioPciFacts {
  const common = vmstate({ name: "(virtio-pci)", version: 1, fields: commonFields(virtioPciTransport(parameters)) });
  const { record, end } = decodePrefix(common, 1, bytes);
  const state = toState(common, record);
  checkVector(state.transport.config_vector, parameters, "transport.config_vector");
  state.vqs.forEach(({ transport }, i) => {
    checkVector(transport.vector, parameters, `vqs[${i}].transport.vector`);
  });
  return {
    deviceId: u16(state.transport.pci_dev.config, header.device),
    status: state.status,
    guestFeatures: state.guest_features,
    config: state.config,
    queues: state.vqs,
    tail: bytes.subarray(end),
  };
}

function checkVector(vector: number, { msixVectors }: VirtioPciParameters, path: string): void {
  if (vector !== noVector && vector >= msixVectors)
    throw misread(path, `below ${msixVectors}, or 0xffff`, String(vector));
}

/** Which subsections travelled, and what that says of the device that sent them. */
function factsOf(
  record: WireRecord,
  { guestFeatures, deviceId }: VirtioPciFacts,
): {
  parameters: Pick<VirtioPciParameters, "hostFeatures" | "modern" | "migrateExtra" | "targetEndian">;
  dialects: VirtioDialect[];
} {
  const virtio = record["virtio"] as Record<string, Record<string, unknown> | undefined>;
  const low = BigInt(guestFeatures);
  const features64 = virtio["features64"]?.["guest_features"] as bigint | undefined;
  const features128 = virtio["features128"]?.["guest_features"] as bigint | undefined;
  const accepted = (features64 ?? low) | ((features128 ?? 0n) << 64n);
  const travelled = (key: string, bit: bigint): bigint => {
    if (virtio[key] !== undefined) return bit;
    if ((accepted & bit) === 0n) return 0n;
    throw misread(`virtio.${key}`, "as feature bits that were accepted say", "absent");
  };
  let hostFeatures =
    accepted | travelled("virtqueues", feature.VERSION_1) | travelled("packed_virtqueues", feature.RING_PACKED);
  if (features64 === undefined && hostFeatures >> 32n !== 0n) {
    throw misread("virtio.features64", "sent, as a feature from bit 32 on is offered", "absent");
  }
  // Something beyond bit 31 is offered, and nobody can tell what: QEMU's own default is RING_RESET.
  if (features64 !== undefined && BigInt.asUintN(64, hostFeatures) >> 32n === 0n) hostFeatures |= feature.RING_RESET;
  if (features128 === 0n) hostFeatures |= 1n << 64n;
  const extra = extraFacts(virtio);
  if (extra.migrateExtra && !extra.modern && deviceId >= modernDeviceBase) {
    throw misread("virtio.extra_state.extra_state.modern_state", "sent by a function that is modern only", "absent");
  }
  return {
    parameters: { hostFeatures, ...extra, ...endianFacts(virtio, accepted) },
    dialects: features128 === undefined ? ["10.0", "7.2"] : ["10.0"],
  };
}

function extraFacts(virtio: Record<string, Record<string, unknown> | undefined>) {
  const extra = virtio["extra_state"]?.["extra_state"] as Record<string, unknown> | undefined;
  return { migrateExtra: extra !== undefined, modern: extra?.["modern_state"] !== undefined };
}

/** An endianness travels where it is not the target's; only a legacy driver's says which that is. */
function endianFacts(virtio: Record<string, Record<string, unknown> | undefined>, accepted: bigint) {
  const sent = virtio["device_endian"]?.["device_endian"];
  if (sent !== 1 || (accepted & feature.VERSION_1) !== 0n) return {};
  return { targetEndian: "big" as const };
}

/** Decodes what stands at the beginning of `bytes`. `STREAM_TRUNCATED` where they end before it does. */
function decodePrefix(
  description: Parameters<typeof recordDecoder>[0],
  version: number,
  bytes: Uint8Array,
): { record: WireRecord; end: number } {
  const decoder = recordDecoder(description, version);
  const cursor = new Cursor(bytes);
  cursor.final = true;
  if (!decoder.resume(cursor)) throw truncated(decoder.path(), bytes.length);
  return { record: decoder.value(), end: cursor.offset };
}

function sameBytes(bytes: Uint8Array, make: () => Uint8Array): boolean {
  try {
    const made = make();
    return made.length === bytes.length && made.every((byte, i) => byte === bytes[i]);
  } catch (error) {
    // A state that cannot be written under these parameters is not what the stream was written from.
    if (isMigrationError(error)) return false;
    throw error;
  }
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

function misread(path: string, expected: string, found: string): MigrationError {
  return new MigrationError("PARAMETER_WRONG", "the section contradicts itself, or is not of this kind", {
    path,
    expected,
    found,
  });
}
