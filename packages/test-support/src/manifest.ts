// The shape of MANIFEST.json: what is known of each stream that real QEMU saved, case by case.

/** How a section was on the wire; an iterable's later parts are counted in `iter_parts`. */
export type ManifestSectionKind = "start" | "full";

export interface ManifestSection {
  readonly idstr: string;
  readonly instance: number;
  readonly version: number;
  readonly kind: ManifestSectionKind;
  /** Bytes of the section's content, without its header and footer. */
  readonly bytes: number;
}

/** Where a mapped-ram block's header, bitmap and pages stand in the file. */
export interface ManifestMappedBlock {
  readonly version: number;
  /** Page size in bytes. */
  readonly page: number;
  /** Offset of the bitmap in the file. */
  readonly bitmap: number;
  /** Offset of the pages in the file. */
  readonly pages: number;
}

export interface ManifestRamBlock {
  readonly idstr: string;
  readonly bytes: number;
  readonly mapped?: ManifestMappedBlock;
}

/** RAM records counted by kind; a kind that the stream does not use is absent. */
export interface ManifestRamRecords {
  readonly memsize?: number;
  readonly eos?: number;
  readonly zero?: number;
  readonly page?: number;
  readonly xbzrle?: number;
  readonly compress?: number;
  readonly mfflush?: number;
}

export interface ManifestStream {
  /** Version of the stream's header: 3. */
  readonly version: number;
  /** The machine type that the configuration section names. */
  readonly config: { readonly name: string };
  readonly capabilities_in_stream: readonly string[];
  /** Sections in their order on the wire, an iterable once, by its START. */
  readonly sections: readonly ManifestSection[];
  readonly ram_blocks: readonly ManifestRamBlock[];
  readonly ram_records: ManifestRamRecords;
  /** PART and END sections counted by `idstr/part` and `idstr/end`. */
  readonly iter_parts: Readonly<Record<string, number>>;
  /** Commands in their order: the command and the bytes of its data. */
  readonly commands: readonly (readonly [command: number, bytes: number])[];
  readonly vmdesc: boolean;
  readonly vmdesc_bytes?: number;
  readonly vmdesc_matches_sections?: boolean;
  readonly trailing_bytes?: number;
  readonly notes: readonly string[];
}

export interface ManifestFile {
  /** Name of the raw file; `readStream` takes it. */
  readonly raw: string;
  /** Bytes of the raw file. */
  readonly bytes: number;
  /** SHA-256 of the raw file, in hexadecimal. */
  readonly sha256: string;
  /** Name of the zstd-compressed file in the folder. */
  readonly file: string;
  readonly zst_bytes: number;
  /** Absent for what is no migration stream: multifd channels, a return path, a timeline. */
  readonly stream?: ManifestStream;
  readonly multifd_channel?: boolean;
}

export interface ManifestCase {
  readonly name: string;
  readonly qemu: string;
  /** QEMU's release, `7.2` or `10.0`. */
  readonly qemu_short: string;
  readonly arch: string;
  /** The machine type, such as `pc-q35-7.2`. */
  readonly machine: string;
  readonly accel: string;
  readonly guest: string;
  readonly about: string;
  readonly transport: string;
  readonly command_line: string;
  readonly capabilities: Readonly<Record<string, boolean>>;
  readonly parameters: Readonly<Record<string, number>>;
  readonly files: readonly ManifestFile[];
}
