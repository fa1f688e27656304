// Which field has names for its bits: by the kind of section and the field's path, or by the type that the vmdesc gives it.
import type { FieldValue } from "../model/fields.ts";
import { type NamedPart, type NameTable, namesIn } from "./bits.ts";
import { msixTableParts, pciConfigParts } from "./pci-config.ts";
import {
  deviceEndian,
  deviceStatus,
  featureTable,
  isrStatus,
  netHashTypes,
  netOffloads,
  netStatus,
  noVector,
} from "./virtio-tables.ts";
import { vtdRegisterParts } from "./vtd-registers.ts";
import { cr0, cr4, eferTable, eflags } from "./x86-registers.ts";

/** A field is told by a table, a buffer by what finds the registers in it. */
type Rule = NameTable | ((bytes: Uint8Array) => NamedPart[]);

/** Rules by path; `[]` is any element. */
type Rules = ReadonlyMap<string, Rule>;

/** What all virtio devices have, whatever their transport. */
const virtioRules = {
  status: deviceStatus,
  isr: isrStatus,
  "transport.config_vector": noVector,
  "vqs[].transport.vector": noVector,
  "transport.pci_dev.config": pciConfigParts,
  "transport.msix_table": msixTableParts,
  "virtio.device_endian.device_endian": deviceEndian,
} satisfies Record<string, Rule>;

const modernFeatures = "virtio.extra_state.extra_state.modern_state.guest_features";

function featureRules(device: string): Record<string, Rule> {
  const low = featureTable(device);
  const high = featureTable(device, 32);
  if (low === undefined || high === undefined) return {};
  return {
    guest_features: low,
    "virtio.features64.guest_features": low,
    [`${modernFeatures}[0]`]: low,
    [`${modernFeatures}[1]`]: high,
  };
}

const rulesByKind: Readonly<Record<string, Readonly<Record<string, Rule>>>> = {
  "virtio-net": {
    "device.status": netStatus,
    "device.curr_guest_offloads": netOffloads,
    "device.rss.hash_types": netHashTypes,
    "device.rss.supported_hash_types": netHashTypes,
  },
  "iommu-intel": { csr: vtdRegisterParts },
  cpu: { "env.eflags": eflags, "env.cr[0]": cr0, "env.cr[4]": cr4, "env.efer": eferTable },
};

/** Of fields that a vmdesc lists. */
const rulesByType: Readonly<Record<string, Rule>> = { "pci config": pciConfigParts };

/** What is between the last slash of an idstr and its end: `virtio-net`. */
function kindOf(idstr: string): string {
  return idstr.slice(idstr.lastIndexOf("/") + 1);
}

/** The names of one kind of section's fields. */
export function namesFor(idstr: string): (field: FieldValue) => readonly NamedPart[] {
  const rules = rulesOf(kindOf(idstr));
  return ({ path, value, type }) => {
    const rule =
      rules.get(path) ??
      rules.get(path.replace(/\[\d+\]/g, "[]")) ??
      (type === undefined ? undefined : rulesByType[type]);
    if (rule === undefined) return [];
    if (typeof rule === "function") return value instanceof Uint8Array ? rule(value) : [];
    if (typeof value !== "number" && typeof value !== "bigint") return [];
    const names = namesIn(rule, value);
    return names.length === 0 ? [] : [{ path: "", value, names }];
  };
}

function rulesOf(kind: string): Rules {
  const isVirtio = kind.startsWith("virtio-");
  return new Map(
    Object.entries({ ...(isVirtio ? { ...virtioRules, ...featureRules(kind) } : {}), ...rulesByKind[kind] }),
  );
}
