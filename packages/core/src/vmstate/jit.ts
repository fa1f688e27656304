// Straight-line code for bodies of fixed size that are read or written often. It does what the nodes do or nothing at
// all: whatever is out of the ordinary is left to them. Where a policy forbids `Function`, everything is.
import { type Cursor, underflow } from "../cursor.ts";
import type { Fast } from "./fast.ts";
import type { Body } from "./nodes/body.ts";
import type { Probe } from "./nodes/probe.ts";
import {
  allocatesOf,
  decodesOf,
  isPlain,
  membersIn,
  type Shape,
  type StructShape,
  shapeOfBody,
  sizeOf,
} from "./shape.ts";
import type { IntSpec } from "./spec.ts";

/** Beyond this many members the code is too long to be compiled well. */
const mostMembers = 200;

/** Once told that it may not evaluate text, this copy of core does not ask again: browsers report every attempt. */
let isForbidden = false;

export function generate(body: Body): Fast | undefined {
  const shape = isForbidden ? undefined : shapeOfBody(body);
  if (shape === undefined || membersIn(shape) > mostMembers) return undefined;
  const code = new Code();
  const text = `"use strict"; return {
    read: ${code.reader(shape)},
    write: ${code.writer(shape)},
    readRun: ${code.runReader(shape)},
    writeRun: ${code.runWriter(shape)},
    isState: ${code.tester(shape)},
  };`;
  try {
    // biome-ignore lint/style/noRestrictedGlobals: the one place that evaluates text, which a policy may forbid
    return new Function("underflow", "ours", "copy", "zero", text)(
      underflow,
      (cursor: Cursor, probe: number, at: number) => isOurs(code.probes[probe] as Probe, cursor, at),
      copy,
      isZero,
    ) as Fast;
  } catch {
    isForbidden = true;
    return undefined;
  }
}

function isOurs(probe: Probe, cursor: Cursor, at: number): boolean {
  const { pos } = cursor;
  cursor.pos = at;
  const need = probe.need(cursor);
  cursor.pos = pos;
  return need > 0;
}

function copy(bytes: Uint8Array, from: number, size: number): Uint8Array {
  // `slice` of a runtime's own subclass of Uint8Array may give another view, and no copy.
  if (size > 32 && bytes.constructor === Uint8Array) return bytes.slice(from, from + size);
  const taken = new Uint8Array(size);
  if (size > 32) taken.set(bytes.subarray(from, from + size));
  else for (let i = 0; i < size; i++) taken[i] = bytes[from + i] as number;
  return taken;
}

function isZero(bytes: Uint8Array, from: number, size: number): boolean {
  for (let i = 0; i < size; i++) if (bytes[from + i] !== 0) return false;
  return true;
}

/** A place: the variable that holds where it begins, and the bytes from there. */
class Place {
  readonly base: string;
  readonly offset: number;
  constructor(base: string, offset: number) {
    this.base = base;
    this.offset = offset;
  }
  plus(bytes: number): Place {
    return new Place(this.base, this.offset + bytes);
  }
  toString(): string {
    return this.offset === 0 ? this.base : `${this.base}+${this.offset}`;
  }
}

const safe = Number.MAX_SAFE_INTEGER;
const allOnes = "18446744073709551615n";

class Code {
  readonly probes: Probe[] = [];
  #names = 0;
  #lines: string[] = [];

  #name(): string {
    return `x${this.#names++}`;
  }
  #body(write: () => void): string {
    const outer = this.#lines;
    this.#lines = [];
    write();
    const text = this.#lines.join("\n");
    this.#lines = outer;
    return text;
  }
  #add(line: string): void {
    this.#lines.push(line);
  }
  /** The lines of `write` for `n` places that are `step` bytes apart: one after the other if they are few. */
  #loop(n: number, step: number, at: Place, write: (index: string, place: Place) => void): void {
    if (n <= 4) {
      for (let i = 0; i < n; i++) write(String(i), at.plus(i * step));
      return;
    }
    const [i, q] = [this.#name(), this.#name()];
    const body = this.#body(() => write(i, new Place(q, 0)));
    this.#add(`for (let ${i} = 0, ${q} = ${at}; ${i} < ${n}; ${i}++, ${q} += ${step}) { ${body} }`);
  }
  #let(expression: string): string {
    const name = this.#name();
    this.#add(`const ${name} = ${expression};`);
    return name;
  }

  reader(shape: StructShape): string {
    const size = sizeOf(shape);
    const text = this.#body(() => {
      const fields = this.#readMembers(shape, new Place("p", 0));
      this.#add(`c.pos = p + ${size}; c.fields += ${decodesOf(shape)}; c.allocatedBytes += ${allocatesOf(shape)};`);
      this.#add(`return w === undefined ? {${fields}} : {"$version": w, ${fields}};`);
    });
    return `(c, w) => { const p = c.pos; if (c.end - p < ${size}) return undefined; const v = c.view, b = c.bytes;
      ${text} }`;
  }

  runReader(shape: StructShape): string {
    const size = sizeOf(shape);
    const text = this.#body(() => this.#add(`values.push(${this.#readStruct(shape, new Place("p", 0))});`));
    return `(c, n) => { const v = c.view, b = c.bytes, e = c.end, values = []; let p = c.pos;
      for (;;) {
        if (n < 0) {
          if (p >= e) { c.fields += values.length; throw underflow; }
          const mark = b[p++];
          if (mark === 0) break;
          if (mark !== 1) return undefined;
        } else if (values.length === n) break;
        if (e - p < ${size}) { c.fields += values.length; throw underflow; }
        ${text}
        p += ${size};
        if (p >= e && n >= 0 && !c.final) { c.fields += values.length; throw underflow; }
      }
      const k = values.length;
      c.pos = p; c.fields += k * ${decodesOf(shape)} + (n < 0 ? k + 1 : 0); c.allocatedBytes += k * ${allocatesOf(shape)};
      return values; }`;
  }

  #readMembers(shape: StructShape, at: Place): string {
    const fields: string[] = [];
    let place = at;
    for (const [key, one] of shape.members) {
      const value = this.#read(one, place);
      if (value !== undefined) fields.push(`${JSON.stringify(key)}: ${value}`);
      place = place.plus(sizeOf(one));
    }
    return fields.join(", ");
  }

  /** The value as an expression that has no effect; padding has none. */
  #read(shape: Shape, at: Place): string | undefined {
    switch (shape.kind) {
      case "int":
        return this.#let(this.#readInt(shape.spec, at));
      case "bool": {
        const byte = this.#let(`b[${at}]`);
        this.#add(`if (${byte} > 1) return undefined;`);
        return `${byte} === 1`;
      }
      case "timer": {
        const ns = this.#let(`v.getBigUint64(${at})`);
        return `${ns} === ${allOnes} ? null : ${ns}`;
      }
      case "cpudouble":
        return this.#let(`v.getBigUint64(${at})`);
      case "bytes":
        return this.#let(`copy(b, ${at}, ${shape.size})`);
      case "padding":
        if (shape.size > 8) this.#add(`if (!zero(b, ${at}, ${shape.size})) return undefined;`);
        else for (let i = 0; i < shape.size; i++) this.#add(`if (b[${at.plus(i)}] !== 0) return undefined;`);
        return undefined;
      case "ints":
        return this.#readInts(shape.spec, shape.typed, shape.n, at);
      case "array": {
        const values = this.#let("[]");
        this.#loop(shape.n, sizeOf(shape.element), at, (_, place) =>
          this.#add(`${values}.push(${this.#read(shape.element, place)});`),
        );
        return values;
      }
      case "struct":
        return this.#readStruct(shape, at);
    }
  }

  #readStruct(shape: StructShape, at: Place): string {
    const record = this.#let(`{${this.#readMembers(shape, at)}}`);
    const end = at.plus(sizeOf(shape));
    const probe = this.probes.push(shape.probe) - 1;
    this.#add(`if (b[${end}] === 5 && ours(c, ${probe}, ${end})) return undefined;`);
    return record;
  }

  #readInt({ bytes, signed, as }: IntSpec, at: Place): string {
    const sign = signed ? "Int" : "Uint";
    if (bytes === 1 && !signed) return `b[${at}]`;
    if (bytes < 8) return `v.get${sign}${8 * bytes}(${at})`;
    if (as === "bigint") return `v.getBig${sign}64(${at})`;
    if (as === "pair") return `[v.getUint32(${at.plus(4)}), v.getUint32(${at})]`;
    const value = this.#let(`v.get${sign}32(${at}) * 4294967296 + v.getUint32(${at.plus(4)})`);
    this.#add(`if (!(${value} >= ${-safe} && ${value} <= ${safe})) return undefined;`);
    return value;
  }

  #readInts(spec: IntSpec, typed: string, n: number, at: Place): string {
    if (typed === "Uint8Array") return this.#let(`copy(b, ${at}, ${n})`);
    const values = this.#let(`new ${typed}(${n})`);
    this.#loop(n, spec.bytes, at, (i, place) => this.#add(`${values}[${i}] = ${this.#readInt(spec, place)};`));
    return values;
  }

  writer(shape: StructShape): string {
    const text = this.#body(() => this.#writeMembers(shape, "r", new Place("p", 0)));
    return `(o, r, s) => { const p = o.reserve(${sizeOf(shape)}), v = o.view, b = o.bytes;
      ${text}
      return true; }`;
  }

  runWriter(shape: StructShape): string {
    const size = sizeOf(shape);
    const text = this.#body(() => this.#write(shape, "r", new Place("q", 0)));
    return `(o, a, s, marked) => { const n = a.length, p = o.reserve(n * (marked ? ${size + 1} : ${size}) + (marked ? 1 : 0));
      const v = o.view, b = o.bytes;
      let q = p;
      for (let i = 0; i < n; i++, q += ${size}) {
        const r = a[i];
        if (marked) b[q++] = 1;
        ${text}
      }
      if (marked) b[q] = 0;
      return true; }`;
  }

  #require(condition: string): void {
    this.#add(`if (!(${condition})) { o.pos = p; return false; }`);
  }

  #writeMembers(shape: StructShape, record: string, at: Place): void {
    let place = at;
    for (const [key, one] of shape.members) {
      const value = `${record}[${JSON.stringify(key)}]`;
      this.#write(one, one.kind === "padding" ? value : this.#let(value), place);
      place = place.plus(sizeOf(one));
    }
  }

  #write(shape: Shape, value: string, at: Place): void {
    switch (shape.kind) {
      case "int":
        this.#writeInt(shape.spec, value, at);
        break;
      case "bool":
        this.#require(`typeof ${value} === "boolean"`);
        this.#add(`b[${at}] = ${value} ? 1 : 0;`);
        break;
      case "timer":
        this.#require(`${value} === null || (typeof ${value} === "bigint" && ${value} >= 0n && ${value} < ${allOnes})`);
        this.#add(`v.setBigUint64(${at}, ${value} === null ? ${allOnes} : ${value});`);
        break;
      case "cpudouble":
        this.#require(`typeof ${value} === "bigint" && ${value} >= 0n && ${value} <= ${allOnes}`);
        this.#add(`v.setBigUint64(${at}, ${value});`);
        break;
      case "bytes":
        this.#writeBytes("Uint8Array", shape.size, value, at);
        break;
      case "padding":
        // A state has none, whatever its object holds.
        this.#require(`s || ${value} === undefined`);
        if (shape.size > 8) this.#add(`b.fill(0, ${at}, ${at.plus(shape.size)});`);
        else for (let i = 0; i < shape.size; i++) this.#add(`b[${at.plus(i)}] = 0;`);
        break;
      case "ints":
        this.#writeInts(shape.spec, shape.typed, shape.n, value, at);
        break;
      case "array": {
        this.#require(`Array.isArray(${value}) && ${value}.length === ${shape.n}`);
        this.#loop(shape.n, sizeOf(shape.element), at, (i, place) =>
          this.#write(shape.element, this.#let(`${value}[${i}]`), place),
        );
        break;
      }
      case "struct":
        this.#require(`typeof ${value} === "object" && ${value} !== null`);
        this.#writeMembers(shape, value, at);
    }
  }

  #writeInts(spec: IntSpec, typed: string, n: number, value: string, at: Place): void {
    if (spec.bytes === 1) {
      this.#writeBytes(typed, n, value, at);
      return;
    }
    this.#require(`${value} instanceof ${typed} && ${value}.length === ${n}`);
    const set = `v.set${spec.bytes === 8 ? "BigUint" : "Uint"}${8 * spec.bytes}`;
    this.#loop(n, spec.bytes, at, (i, place) => this.#add(`${set}(${place}, ${value}[${i}]);`));
  }

  #writeInt({ bytes, signed, as }: IntSpec, value: string, at: Place): void {
    if (bytes < 8) {
      const bits = 8 * bytes;
      const wrapped = signed
        ? `${value} << ${32 - bits} >> ${32 - bits}`
        : bits === 32
          ? `${value} >>> 0`
          : `${value} & ${2 ** bits - 1}`;
      this.#require(`typeof ${value} === "number" && (${wrapped}) === ${value}`);
      this.#add(bytes === 1 ? `b[${at}] = ${value};` : `v.setUint${bits}(${at}, ${value});`);
    } else if (as === "bigint") {
      const [low, high] = signed ? [-(2n ** 63n), 2n ** 63n - 1n] : [0n, 2n ** 64n - 1n];
      this.#require(`typeof ${value} === "bigint" && ${value} >= ${low}n && ${value} <= ${high}n`);
      this.#add(`v.setBigUint64(${at}, ${value});`);
    } else if (as === "safe") {
      this.#require(`Number.isSafeInteger(${value})${signed ? "" : ` && ${value} >= 0`}`);
      this.#add(`v.setInt32(${at}, Math.floor(${value} / 4294967296)); v.setUint32(${at.plus(4)}, ${value} >>> 0);`);
    } else {
      this.#require(`Array.isArray(${value}) && ${value}.length === 2`);
      for (const half of [0, 1]) {
        const word = this.#let(`${value}[${half}]`);
        this.#require(`typeof ${word} === "number" && (${word} >>> 0) === ${word}`);
        this.#add(`v.setUint32(${at.plus(half === 0 ? 4 : 0)}, ${word});`);
      }
    }
  }

  #writeBytes(typed: string, n: number, value: string, at: Place): void {
    this.#require(`${value} instanceof ${typed} && ${value}.length === ${n}`);
    if (n > 16) this.#add(`b.set(${value}, ${at});`);
    else for (let i = 0; i < n; i++) this.#add(`b[${at.plus(i)}] = ${value}[${i}];`);
  }

  tester(shape: StructShape): string {
    return `(r) => { ${this.#body(() => this.#testMembers(shape, "r"))} return true; }`;
  }

  #testMembers(shape: StructShape, record: string): void {
    for (const [key, one] of shape.members) {
      if (!isPlain(one)) this.#test(one, this.#let(`${record}[${JSON.stringify(key)}]`));
    }
  }

  #test(shape: Shape, value: string): void {
    if (shape.kind === "bool") this.#add(`if (typeof ${value} !== "boolean") return false;`);
    else if (shape.kind === "padding") this.#add(`if (${value} !== undefined) return false;`);
    else if (shape.kind === "struct") this.#testMembers(shape, value);
    else if (shape.kind === "array") {
      const one = this.#name();
      this.#add(`for (const ${one} of ${value}) { ${this.#body(() => this.#test(shape.element, one))} }`);
    }
  }
}
