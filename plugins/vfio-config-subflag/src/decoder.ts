// The receiving side of a VFIO section's framing, a few bytes or all at a time. What becomes of data and configuration is
// a sink's business, so that a load and a tool read with the same code. Source: wire reference 15.2 and 15.3.
import {
  type BodyDecoder,
  type Cursor,
  isMigrationError,
  MigrationError,
  recordDecoder,
  type WireRecord,
} from "@godwit/core";
import { vfioPciDevice } from "./descriptions.ts";
import { inferBody } from "./infer.ts";
import {
  checkedMarker,
  checkedSubFlag,
  dialectVersion,
  expectedMarkers,
  type MarkerName,
  markerBytes,
  subFlag,
  type VfioPhase,
} from "./markers.ts";
import type { VfioPciParameters } from "./parameters.ts";
import type { VfioConfigRecord, VfioCounts, VfioRecord, VfioSection } from "./records.ts";

/** Throws `MigrationError`; the decoder adds path and offset. */
export interface VfioSink {
  /** What the body depends on; undefined: it is inferred from the body. */
  readonly parameters: VfioPciParameters | undefined;
  /** Data longer than this is refused. Bytes. */
  readonly maxDataBytes: number;
  /** The section's value lists its records; otherwise only counts are kept. */
  readonly keepsRecords: boolean;
  /** One whole chunk of device data. `bytes` are the reader's, and not to be kept. */
  data(bytes: Uint8Array): void;
  /** One whole body. What is refused is a byte of configuration space: the error's path is `[i]`. */
  config(record: VfioConfigRecord): void;
  /** Any marker that has nothing behind it. */
  mark(name: MarkerName, phase: VfioPhase): void;
  fork(): VfioSink;
}

export function vfioDecoder(
  sink: VfioSink,
  phase: VfioPhase,
  version: number,
  previous: VfioSection | undefined,
): BodyDecoder<VfioSection> {
  return new VfioDecoder(sink, phase, version, previous?.counts ?? { initDataSent: 0, configs: 0 });
}

/** Configuration space stands behind a version of four bytes. */
const configAt = 4;

type Step = "marker" | "size" | "data" | "subFlag" | "device";

class VfioDecoder implements BodyDecoder<VfioSection> {
  readonly #sink: VfioSink;
  readonly #phase: VfioPhase;
  readonly #version: number;
  #records: VfioRecord[] = [];
  /** Records that are complete. */
  #index = 0;
  #counts: VfioCounts;
  #step: Step = "marker";
  #last: MarkerName | undefined;
  #dataBytes = 0;
  #subFlag: number | undefined;
  #device: BodyDecoder<WireRecord> | undefined;
  #deviceOffset = 0;
  #parameters: VfioPciParameters | undefined;

  constructor(sink: VfioSink, phase: VfioPhase, version: number, counts: VfioCounts) {
    this.#sink = sink;
    this.#phase = phase;
    this.#version = version;
    this.#counts = counts;
  }

  resume(cursor: Cursor): boolean {
    while (this.#expected().length > 0 || this.#step !== "marker") if (!this.#read(cursor)) return false;
    return true;
  }

  value(): VfioSection {
    return { phase: this.#phase, version: this.#version, records: this.#records, counts: this.#counts };
  }

  path(): string {
    const within: Readonly<Record<Step, string>> = {
      marker: "marker",
      size: "size",
      data: "data",
      subFlag: "sub_flag",
      device: "device",
    };
    const path = `records[${this.#index}].${within[this.#step]}`;
    const inner = this.#step === "device" ? this.#device?.path() : undefined;
    return inner === undefined ? path : `${path}.${inner}`;
  }

  fork(): VfioDecoder {
    const copy = new VfioDecoder(this.#sink.fork(), this.#phase, this.#version, this.#counts);
    copy.#records = this.#records.slice();
    copy.#index = this.#index;
    copy.#step = this.#step;
    copy.#last = this.#last;
    copy.#dataBytes = this.#dataBytes;
    copy.#subFlag = this.#subFlag;
    copy.#device = this.#device?.fork();
    copy.#deviceOffset = this.#deviceOffset;
    copy.#parameters = this.#parameters;
    return copy;
  }

  #expected(): readonly MarkerName[] {
    return expectedMarkers(this.#phase, this.#version, this.#last);
  }

  /** Reads one element; false where it has not arrived. */
  #read(cursor: Cursor): boolean {
    switch (this.#step) {
      case "marker":
        return cursor.available >= markerBytes && this.#readMarker(cursor);
      case "size":
        return cursor.available >= 8 && this.#readSize(cursor);
      case "data":
        return cursor.available >= this.#dataBytes && this.#readData(cursor);
      case "subFlag":
        return cursor.available >= 4 && this.#readSubFlag(cursor);
      case "device":
        return this.#readDevice(cursor);
    }
  }

  #readMarker(cursor: Cursor): boolean {
    const { offset } = cursor;
    const word = cursor.u64();
    cursor.fields++;
    this.#at(offset, () => {
      let expected = this.#expected();
      // It is told once that the device's initial data has gone.
      if (this.#counts.initDataSent > 0) expected = expected.filter((name) => name !== "DEV_INIT_DATA_SENT");
      this.#last = checkedMarker(word, expected);
      if (this.#last !== "DEV_DATA_STATE" && this.#last !== "DEV_CONFIG_STATE") {
        this.#sink.mark(this.#last, this.#phase);
      }
    });
    const name = this.#last as MarkerName;
    if (name === "DEV_DATA_STATE") this.#step = "size";
    else if (name !== "DEV_CONFIG_STATE") this.#close({ marker: name });
    else if (this.#version === dialectVersion.merged) this.#openDevice(cursor);
    else this.#step = "subFlag";
    return true;
  }

  #readSize(cursor: Cursor): boolean {
    const { offset } = cursor;
    const size = cursor.u64();
    cursor.fields++;
    const { maxDataBytes } = this.#sink;
    if (size > BigInt(maxDataBytes)) {
      throw new MigrationError("LENGTH_BOUND", "a chunk of device data is too long", {
        path: this.path(),
        offset,
        expected: `at most ${maxDataBytes} bytes`,
        found: `${size} bytes`,
      });
    }
    this.#dataBytes = Number(size);
    this.#step = "data";
    return true;
  }

  #readData(cursor: Cursor): boolean {
    const { offset, pos } = cursor;
    const size = this.#dataBytes;
    this.#at(offset, () => this.#sink.data(cursor.bytes.subarray(pos, pos + size)));
    const { keepsRecords } = this.#sink;
    const data = keepsRecords ? cursor.take(size) : cursor.bytes.subarray(0, 0);
    if (!keepsRecords) cursor.pos = pos + size;
    cursor.fields++;
    this.#close({ marker: "DEV_DATA_STATE", data });
    return true;
  }

  #readSubFlag(cursor: Cursor): boolean {
    const { offset } = cursor;
    const bits = cursor.u32();
    cursor.fields++;
    this.#subFlag = this.#at(offset, () => checkedSubFlag(bits, this.#phase));
    if ((bits & subFlag.config) === 0) this.#closeConfig(undefined);
    else this.#openDevice(cursor);
    return true;
  }

  #openDevice({ offset }: Cursor): void {
    this.#step = "device";
    this.#device = undefined;
    this.#deviceOffset = offset;
    this.#parameters = this.#sink.parameters;
  }

  #readDevice(cursor: Cursor): boolean {
    this.#parameters ??= this.#infer(cursor);
    if (this.#parameters === undefined) return false;
    this.#device ??= recordDecoder(vfioPciDevice(this.#parameters), 1, false);
    try {
      if (!this.#device.resume(cursor)) return false;
    } catch (error) {
      if (!isMigrationError(error)) throw error;
      throw error.at({ path: `records[${this.#index}].device` });
    }
    this.#closeConfig(this.#device.value());
    return true;
  }

  #infer(cursor: Cursor): VfioPciParameters | undefined {
    return this.#at(cursor.offset, () => inferBody(cursor.bytes.subarray(cursor.pos, cursor.end)));
  }

  #closeConfig(device: WireRecord | undefined): void {
    const parameters = device === undefined ? undefined : this.#parameters;
    const record = { marker: "DEV_CONFIG_STATE", subFlag: this.#subFlag, device, parameters } as const;
    if (device !== undefined) this.#ask(record);
    this.#close(record);
  }

  #ask(record: VfioConfigRecord): void {
    try {
      this.#sink.config(record);
    } catch (error) {
      if (!isMigrationError(error)) throw error;
      const config = `records[${this.#index}].device.pci_dev.config`;
      const at = Number(/^\[(\d+)\]$/.exec(error.location.path ?? "")?.[1] ?? 0);
      throw error.at({ path: config, offset: this.#deviceOffset + configAt + at });
    }
  }

  #close(record: VfioRecord): void {
    if (this.#sink.keepsRecords) this.#records.push(record);
    this.#index++;
    const { initDataSent, configs } = this.#counts;
    if (record.marker === "DEV_INIT_DATA_SENT") this.#counts = { configs, initDataSent: initDataSent + 1 };
    if (record.marker === "DEV_CONFIG_STATE" && this.#phase !== "full") {
      this.#counts = { configs: configs + 1, initDataSent };
    }
    this.#step = "marker";
  }

  /** Asks the sink; its refusal is about the element that is being read. */
  #at<T>(offset: number, question: () => T): T {
    try {
      return question();
    } catch (error) {
      throw isMigrationError(error) ? error.at({ path: this.path(), offset }) : error;
    }
  }
}
