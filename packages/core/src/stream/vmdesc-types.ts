// The JSON that QEMU appends to a stream, as types. Source: wire reference 1.8; keys stand in this order.

export interface VmdescMembers {
  readonly vmsd_name: string;
  readonly version: number;
  readonly fields: readonly VmdescField[];
  readonly subsections?: readonly VmdescMembers[];
}

export interface VmdescField {
  readonly name: string;
  /** More than one element, all alike: `size` is then that of one. */
  readonly array_len?: number;
  readonly index?: number;
  readonly type: string;
  readonly struct?: VmdescMembers | Record<string, never>;
  /** vstruct, tmp and lists carry the members in the field itself. */
  readonly vmsd_name?: string;
  readonly version?: number;
  readonly fields?: readonly VmdescField[];
  readonly subsections?: readonly VmdescMembers[];
  /** Bytes. */
  readonly size: number;
}

export interface VmdescDevice {
  readonly name: string;
  readonly instance_id: number;
  readonly vmsd_name?: string;
  readonly version?: number;
  readonly fields?: readonly VmdescField[];
  readonly subsections?: readonly VmdescMembers[];
  /** A handler without a VMState description states its whole size. Bytes. */
  readonly size?: number;
}

export interface Vmdesc {
  readonly configuration?: VmdescMembers;
  readonly page_size: number;
  readonly devices: readonly VmdescDevice[];
  /** What Godwit adds to its own saves: the manifest of the machine. Read it with `manifestOf`, which checks it. */
  readonly godwit?: unknown;
}
