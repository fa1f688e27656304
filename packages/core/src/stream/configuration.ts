// The configuration section: machine type, and what both ends must agree on. It has no header of its own, and is read
// and written as version 0. Source: wire reference 1.5.
import { utf8Decode, utf8Encode } from "../utf8.ts";
import { ownSubsection, ownVmstate } from "../vmstate/describe.ts";
import { buffer, customField, u8, u32, varray, vbuffer } from "../vmstate/fields.ts";
import type { CustomItem } from "../vmstate/spec.ts";
import type { Description, Field } from "../vmstate/types.ts";

interface NameSteps {
  length: number | undefined;
  bytes: Uint8Array | undefined;
}

const oneByte = u8;

/** A name behind its length byte (QEMU: the info `capability`). */
export const str8: Field<string> = customField<string, NameSteps>({
  kind: "capability",
  begin: () => ({ length: undefined, bytes: undefined }),
  next: (steps) => (steps.length === undefined ? oneByte : steps.bytes === undefined ? rawOf(steps.length) : undefined),
  take(steps, value) {
    if (steps.length === undefined) steps.length = value as number;
    else steps.bytes = value as Uint8Array;
  },
  end: (steps) => utf8Decode(steps.bytes ?? new Uint8Array(0)),
  *encode(value): Iterable<CustomItem> {
    const bytes = utf8Encode(value);
    yield { field: oneByte, value: bytes.length };
    yield { field: rawOf(bytes.length), value: bytes };
  },
});

function rawOf(length: number): Field {
  return buffer(length);
}

/** Spelled out, where other descriptions are inferred: JSR carries no public type that has to be inferred. */
export interface ConfigurationState {
  len: number;
  name: Uint8Array;
  targetPageBits: { page_bits: number };
  capabilities: { caps_count: number; capabilities: string[] };
  uuid: { uuid: Uint8Array };
}

export const configuration: Description<ConfigurationState> = ownVmstate({
  name: "configuration",
  version: 1,
  minimumVersion: 0,
  fields: { len: u32, name: vbuffer("len", { max: 4096 }) },
  subsections: {
    targetPageBits: ownSubsection({
      name: "configuration/target-page-bits",
      version: 1,
      fields: { page_bits: u32 },
      needed: (own) => own.page_bits !== 0,
      absent: { page_bits: 0 },
    }),
    capabilities: ownSubsection({
      name: "configuration/capabilities",
      version: 1,
      fields: { caps_count: u32, capabilities: varray("caps_count", str8, { max: 256 }) },
      needed: (own) => own.caps_count > 0,
      absent: { caps_count: 0, capabilities: [] },
    }),
    uuid: ownSubsection({
      name: "configuration/uuid",
      version: 1,
      fields: { uuid: buffer(16) },
      needed: (own) => own.uuid.some((byte) => byte !== 0),
      absent: { uuid: new Uint8Array(16) },
    }),
  },
});

/** The version that both ends read and write it as, whatever the description says. */
export const configurationWireVersion = 0;

export interface Configuration {
  readonly machineType: string;
  /** 0 where the target's page size is fixed. */
  readonly pageBits: number;
  readonly capabilities: readonly string[];
  /** 16 bytes, or undefined. */
  readonly uuid: Uint8Array | undefined;
}

export function configurationOf(state: ConfigurationState): Configuration {
  const { uuid } = state.uuid;
  return {
    machineType: utf8Decode(state.name),
    pageBits: state.targetPageBits.page_bits,
    capabilities: state.capabilities.capabilities,
    uuid: uuid.some((byte) => byte !== 0) ? uuid : undefined,
  };
}

export function configurationState(of: Configuration): ConfigurationState {
  const name = utf8Encode(of.machineType);
  return {
    len: name.length,
    name,
    targetPageBits: { page_bits: of.pageBits },
    capabilities: { caps_count: of.capabilities.length, capabilities: [...of.capabilities] },
    uuid: { uuid: of.uuid ?? new Uint8Array(16) },
  };
}
