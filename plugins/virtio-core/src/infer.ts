// What a virtio section depends on, found from its bytes: nothing on the wire says it outright. The part that is the
// same for every transport.
import {
  Cursor,
  type Description,
  encodeState,
  isMigrationError,
  MigrationError,
  recordDecoder,
  type SectionSample,
  toState,
  vmstate,
  type WireRecord,
} from "@godwit/core";
import type { VirtioClass, VirtioClassFacts } from "./class.ts";
import { feature } from "./constants.ts";
import {
  commonFields,
  type VirtioDialect,
  type VirtioParameters,
  type VirtioTransportDescriptions,
  type VirtqueueState,
} from "./section.ts";

/** The subsections of "virtio" that travelled, by their keys. */
export type VirtioRecord = Readonly<Record<string, Record<string, unknown> | undefined>>;

/** One transport, as the inference needs it. `T` is what its parameters add to those of the virtio core. */
export interface VirtioReading<P, S, L, T, C, Q, X> {
  readonly device: VirtioClass<P, S, L>;
  readonly sample: SectionSample;
  /** What was found before: enough to read the transport's part. */
  readonly known: T;
  readonly transport: (parameters: T & VirtioParameters) => VirtioTransportDescriptions<C, Q, X>;
  readonly section: (parameters: P & T & VirtioParameters) => Description;
  /** `PARAMETER_WRONG` where the transport's part contradicts what is known. */
  readonly check?: (config: C, queues: readonly VirtqueueState<Q>[]) => void;
  /** What the subsections say of the transport. */
  readonly told?: (virtio: VirtioRecord) => Partial<T>;
}

/**
 * Reads a section with `known`, and finds the rest. `end` is where the section's bytes end. `PARAMETER_WRONG` where
 * facts contradict each other, `STREAM_TRUNCATED` where the sample is too short to tell.
 */
export function inferVirtio<P, S, L, T, C, Q, X>(
  init: VirtioReading<P, S, L, T, C, Q, X>,
): { readonly parameters: P & T & VirtioParameters; readonly end: number } {
  const { device, sample, section } = init;
  // Whatever is offered, the bytes are read alike; `needed` alone depends on it.
  const reading: T & VirtioParameters = { ...init.known, hostFeatures: 0n, dialect: "10.0" };
  const facts = readCommon(init, reading);
  const own = device.infer(facts);
  const decode = (parameters: P & T & VirtioParameters) =>
    decodePrefix(section(parameters), sample.version, sample.bytes);
  const { record, end } = decode({ ...own, ...reading });
  const virtio = record["virtio"] as VirtioRecord;
  const { dialects, ...offered } = offeredBy(virtio, facts.guestFeatures);
  const bytes = sample.bytes.subarray(0, end);
  const candidates = dialects.map((dialect) => ({ ...own, ...reading, ...offered, ...init.told?.(virtio), dialect }));
  const exact = candidates.find((parameters) => {
    const description = section(parameters) as Description<Record<string, unknown>>;
    return sameBytes(bytes, () => encodeState(description, toState(description, decode(parameters).record)));
  });
  return { parameters: exact ?? (candidates[0] as P & T & VirtioParameters), end };
}

function readCommon<P, S, L, T, C, Q, X>(
  { sample: { bytes }, transport, check }: VirtioReading<P, S, L, T, C, Q, X>,
  parameters: T & VirtioParameters,
): VirtioClassFacts {
  const common = vmstate({ name: "(virtio)", version: 1, fields: commonFields(transport(parameters)) });
  const { record, end } = decodePrefix(common, 1, bytes);
  const state = toState(common, record) as unknown as {
    transport: C;
    status: number;
    guest_features: number;
    config: Uint8Array;
    vqs: VirtqueueState<Q>[];
  };
  check?.(state.transport, state.vqs);
  return {
    status: state.status,
    guestFeatures: state.guest_features,
    config: state.config,
    queues: state.vqs,
    tail: bytes.subarray(end),
  };
}

/** Which subsections travelled, and what that says of the device that sent them. */
function offeredBy(
  virtio: VirtioRecord,
  guestFeatures: number,
): Pick<VirtioParameters, "hostFeatures" | "targetEndian"> & { dialects: VirtioDialect[] } {
  const features64 = virtio["features64"]?.["guest_features"] as bigint | undefined;
  const features128 = virtio["features128"]?.["guest_features"] as bigint | undefined;
  const accepted = (features64 ?? BigInt(guestFeatures)) | ((features128 ?? 0n) << 64n);
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
  return {
    hostFeatures,
    ...endianFacts(virtio, accepted),
    dialects: features128 === undefined ? ["10.0", "7.2"] : ["10.0"],
  };
}

/** An endianness travels where it is not the target's; only a legacy driver's says which that is. */
function endianFacts(virtio: VirtioRecord, accepted: bigint): Pick<VirtioParameters, "targetEndian"> {
  const sent = virtio["device_endian"]?.["device_endian"];
  if (sent !== 1 || (accepted & feature.VERSION_1) !== 0n) return {};
  return { targetEndian: "big" };
}

/** Decodes what stands at the beginning of `bytes`. `STREAM_TRUNCATED` where they end before it does. */
export function decodePrefix(
  description: Parameters<typeof recordDecoder>[0],
  version: number,
  bytes: Uint8Array,
): { readonly record: WireRecord; readonly end: number } {
  const decoder = recordDecoder(description, version);
  const cursor = new Cursor(bytes);
  cursor.final = true;
  if (!decoder.resume(cursor)) {
    throw new MigrationError("STREAM_TRUNCATED", "the section ends before its parameters can be told", {
      path: decoder.path(),
      offset: bytes.length,
    });
  }
  return { record: decoder.value(), end: cursor.offset };
}

/** `PARAMETER_WRONG`. */
export function misread(path: string, expected: string, found: string): MigrationError {
  return new MigrationError("PARAMETER_WRONG", "the section contradicts itself, or is not of this kind", {
    path,
    expected,
    found,
  });
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
