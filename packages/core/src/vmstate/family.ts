// Descriptions that depend on the device: a family is a function of instance parameters, and may infer them.
import type { VmdescDevice } from "../stream/vmdesc-types.ts";
import type { Description } from "./types.ts";

/** What a tool knows of a section before it knows the instance parameters. */
export interface SectionSample {
  readonly idstr: string;
  readonly instance: number;
  readonly version: number;
  /** From the section's first byte on; more than the section may follow where its end is not known yet. */
  readonly bytes: Uint8Array;
  /** What the stream's own vmdesc says of the section. */
  readonly vmdesc?: VmdescDevice | undefined;
}

/**
 * The descriptions of one kind of section. What depends on the device and is not on the wire (the size of PCI config
 * space, the number of MSI-X vectors) is a parameter `P`, plain data. `infer` finds it from a sample; what cannot be
 * told apart is `PARAMETER_AMBIGUOUS`, what contradicts itself `PARAMETER_WRONG`, never a guess.
 */
export interface DescriptionFamily<P, D extends Description = Description> {
  readonly format: 1;
  /** The section's name: the idstr, or what follows a device path and "/". */
  readonly name: string;
  readonly build: (parameters: P) => D;
  readonly infer: (sample: SectionSample) => P;
}

export function family<P, D extends Description>(
  init: Omit<DescriptionFamily<P, D>, "format">,
): DescriptionFamily<P, D> {
  return Object.freeze({ format: 1 as const, ...init });
}

/** A description without parameters, as a family of one. */
export function familyOf<D extends Description>(description: D): DescriptionFamily<Record<never, never>, D> {
  return family({ name: description.name, build: () => description, infer: () => ({}) });
}
