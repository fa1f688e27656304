// Every row of the guide's tables of fields.
import {
  array,
  atMost,
  bitmap,
  bool,
  buffer,
  cpudouble,
  equal,
  i8,
  i16,
  i32,
  i64,
  pointer,
  pointers,
  since,
  struct,
  timer,
  tmp,
  u8,
  u16,
  u32,
  u64,
  unused,
  validate,
  varray,
  vbuffer,
  vstruct,
  when,
} from "@godwit/core";
import { gtree, qlist, qtailq } from "@godwit/qtailq-codec";
import { origin, page, point, spot, tenths } from "./parts.ts";
import { type Row, row } from "./row.ts";

const numbers: Row[] = [
  row("VMSTATE_BOOL", { says: "bool", field: bool, value: true, bytes: "01", wire: "1 byte" }),
  row("VMSTATE_INT8", { says: "i8", field: i8, value: -2, bytes: "fe", wire: "1 byte" }),
  row("VMSTATE_UINT8", { says: "u8", field: u8, value: 254, bytes: "fe", wire: "1 byte" }),
  row("VMSTATE_INT16", { says: "i16", field: i16, value: -2, bytes: "fffe", wire: "be16" }),
  row("VMSTATE_UINT16", { says: "u16", field: u16, value: 258, bytes: "0102", wire: "be16" }),
  row("VMSTATE_INT32", { says: "i32", field: i32, value: -2, bytes: "fffffffe", wire: "be32" }),
  row("VMSTATE_UINT32", { says: "u32", field: u32, value: 258, bytes: "00000102", wire: "be32" }),
  row("VMSTATE_INT64", { says: "i64", field: i64, value: -2n, bytes: "fffffffffffffffe", wire: "be64" }),
  row("VMSTATE_UINT64", { says: "u64", field: u64, value: 258n, bytes: "0000000000000102", wire: "be64" }),
  row("vmstate_info_cpudouble", {
    says: "cpudouble",
    field: cpudouble,
    value: 0x3ff8_0000_0000_0000n,
    bytes: "3ff8000000000000",
    wire: "the double's 64 bits, be64",
  }),
  row("VMSTATE_TIMER VMSTATE_TIMER_PTR", {
    says: "timer",
    field: timer,
    value: 1_000_000n,
    bytes: "00000000000f4240",
    wire: "be64, nanoseconds; all ones: not pending",
  }),
];

const checks: Row[] = [
  row("VMSTATE_UINT8_EQUAL VMSTATE_UINT16_EQUAL VMSTATE_UINT32_EQUAL VMSTATE_UINT64_EQUAL VMSTATE_INT32_EQUAL", {
    says: "equal(u32, 4)",
    field: equal(u32, 4),
    value: 4,
    bytes: "00000004",
    wire: "as the number",
  }),
  row("VMSTATE_INT32_POSITIVE_LE", {
    says: "atMost(i32, 8)",
    field: atMost(i32, 8),
    value: 8,
    bytes: "00000008",
    wire: "be32",
  }),
];

const conditions: Row[] = [
  row("VMSTATE_BOOL_V VMSTATE_UINT32_V VMSTATE_TIMER_PTR_V VMSTATE_STRUCT_POINTER_V", {
    says: "since(2, u32, { absent: 7 })",
    field: since(2, u32, { absent: 7 }),
    value: 1,
    bytes: "00000001",
    wire: "from version 2 on",
  }),
  row("VMSTATE_BOOL_TEST VMSTATE_UINT32_TEST VMSTATE_TIMER_TEST", {
    says: "when((own) => own.n8 > 1, u32, { absent: 7 })",
    field: when((own) => own["n8"] > 1, u32, { absent: 7 }),
    before: { n8: 2 },
    value: 1,
    bytes: "00000001",
    wire: "where the test says so",
  }),
  row("VMSTATE_STRUCT_TEST VMSTATE_SINGLE_TEST", {
    says: "when((own) => own.n8 > 1, struct(point), { absent: origin })",
    field: when((own) => own["n8"] > 1, struct(point), { absent: origin }),
    before: { n8: 2 },
    value: { x: 1, y: 2 },
    bytes: "00010002",
    wire: "where the test says so",
  }),
];

const bytes: Row[] = [
  row("VMSTATE_BUFFER VMSTATE_STATIC_BUFFER VMSTATE_BUFFER_UNSAFE VMSTATE_BUFFER_POINTER_UNSAFE", {
    says: "buffer(3)",
    field: buffer(3),
    value: Uint8Array.of(1, 2, 3),
    bytes: "010203",
    wire: "raw",
  }),
  row("VMSTATE_BUFFER_START_MIDDLE VMSTATE_PARTIAL_BUFFER", {
    says: "buffer(2)",
    field: buffer(2),
    value: Uint8Array.of(2, 3),
    bytes: "0203",
    wire: "raw, the part alone",
  }),
  row("VMSTATE_VBUFFER VMSTATE_VBUFFER_UINT32 VMSTATE_VBUFFER_ALLOC_UINT32", {
    says: 'vbuffer("n32")',
    field: vbuffer("n32"),
    before: { n32: 2 },
    value: Uint8Array.of(8, 9),
    bytes: "0809",
    wire: "raw; the length is an earlier field",
  }),
  row("VMSTATE_VBUFFER_MULTIPLY", {
    says: "buffer((own) => own.n32 * 4)",
    field: buffer((own) => own["n32"] * 4),
    before: { n32: 1 },
    value: Uint8Array.of(1, 2, 3, 4),
    bytes: "01020304",
    wire: "raw; a multiple of an earlier field",
  }),
  row("VMSTATE_BITMAP", {
    says: 'bitmap("n32")',
    field: bitmap("n32"),
    before: { n32: 10 },
    value: Uint8Array.of(0b101, 0b10, 0, 0, 0, 0, 0, 0),
    bytes: "0000000000000205",
    wire: "be64 words; the bits' number is an earlier field",
  }),
];

const arrays: Row[] = [
  row("VMSTATE_UINT8_ARRAY VMSTATE_UINT8_SUB_ARRAY", {
    says: "array(u8, 2)",
    field: array(u8, 2),
    value: Uint8Array.of(1, 2),
    bytes: "0102",
    wire: "elements",
  }),
  row("VMSTATE_BOOL_ARRAY", {
    says: "array(bool, 2)",
    field: array(bool, 2),
    value: [true, false],
    bytes: "0100",
    wire: "elements",
  }),
  row("VMSTATE_UINT32_ARRAY VMSTATE_UINT32_SUB_ARRAY", {
    says: "array(u32, 2)",
    field: array(u32, 2),
    value: Uint32Array.of(1, 2),
    bytes: "0000000100000002",
    wire: "elements",
  }),
  row("VMSTATE_UINT16_2DARRAY VMSTATE_UINT32_2DARRAY", {
    says: "array(u16, 2 * 2)",
    field: array(u16, 2 * 2),
    value: Uint16Array.of(1, 2, 3, 4),
    bytes: "0001000200030004",
    wire: "rows one after the other",
  }),
  row("VMSTATE_TIMER_ARRAY VMSTATE_TIMER_PTR_ARRAY", {
    says: "array(timer, 1)",
    field: array(timer, 1),
    value: [null],
    bytes: "ffffffffffffffff",
    wire: "elements",
  }),
  row("VMSTATE_CPUDOUBLE_ARRAY", {
    says: "array(cpudouble, 1)",
    field: array(cpudouble, 1),
    value: [0x8000_0000_0000_0000n],
    bytes: "8000000000000000",
    wire: "elements",
  }),
  row("VMSTATE_VARRAY_UINT8 VMSTATE_VARRAY_INT32 VMSTATE_VARRAY_UINT32 VMSTATE_VARRAY_UINT32_ALLOC", {
    says: 'varray("n8", u32)',
    field: varray("n8", u32),
    before: { n8: 1 },
    value: Uint32Array.of(5),
    bytes: "00000005",
    wire: "elements; the count is an earlier field",
  }),
  row("VMSTATE_VARRAY_UINT16_UNSAFE", {
    says: 'varray("n16", u16)',
    field: varray("n16", u16),
    before: { n16: 1 },
    value: Uint16Array.of(5),
    bytes: "0005",
    wire: "elements; the count is an earlier field",
  }),
  row("VMSTATE_VARRAY_MULTIPLY", {
    says: "array(u8, (own) => own.n32 * 2)",
    field: array(u8, (own) => own["n32"] * 2),
    before: { n32: 1 },
    value: Uint8Array.of(5, 6),
    bytes: "0506",
    wire: "elements; a multiple of an earlier field",
  }),
];

const structs: Row[] = [
  row("VMSTATE_STRUCT", {
    says: "struct(point)",
    field: struct(point),
    value: { x: 1, y: 2 },
    bytes: "00010002",
    wire: "its fields; no header",
  }),
  row("VMSTATE_VSTRUCT VMSTATE_VSTRUCT_V", {
    says: "vstruct(spot, 1)",
    field: vstruct(spot, 1),
    value: { x: 1, y: 2, colour: 0 },
    bytes: "00010002",
    wire: "its fields of that version",
  }),
  row("VMSTATE_POINTER VMSTATE_STRUCT_POINTER", {
    says: "pointer(struct(point))",
    field: pointer(struct(point)),
    value: { x: 1, y: 2 },
    bytes: "00010002",
    wire: "what it points to",
  }),
  row("VMSTATE_STRUCT_ARRAY VMSTATE_STRUCT_SUB_ARRAY VMSTATE_STRUCT_2DARRAY", {
    says: "array(struct(point), 1)",
    field: array(struct(point), 1),
    value: [{ x: 1, y: 2 }],
    bytes: "00010002",
    wire: "elements",
  }),
  row("VMSTATE_STRUCT_VARRAY_UINT8 VMSTATE_STRUCT_VARRAY_INT32 VMSTATE_STRUCT_VARRAY_UINT32", {
    says: 'varray("n8", struct(point))',
    field: varray("n8", struct(point)),
    before: { n8: 1 },
    value: [{ x: 1, y: 2 }],
    bytes: "00010002",
    wire: "elements; the count is an earlier field",
  }),
  row(
    "VMSTATE_STRUCT_VARRAY_POINTER_UINT16 VMSTATE_STRUCT_VARRAY_POINTER_INT32 VMSTATE_STRUCT_VARRAY_POINTER_UINT32 VMSTATE_STRUCT_VARRAY_ALLOC",
    {
      says: 'varray("n32", struct(point))',
      field: varray("n32", struct(point)),
      before: { n32: 1 },
      value: [{ x: 1, y: 2 }],
      bytes: "00010002",
      wire: "elements; the count is an earlier field",
    },
  ),
  row("VMSTATE_ARRAY_OF_POINTER VMSTATE_ARRAY_OF_POINTER_TO_STRUCT", {
    says: "pointers(struct(point), 2, (i) => i === 0)",
    field: pointers(struct(point), 2, (i) => i === 0),
    value: [null, { x: 1, y: 2 }],
    bytes: "3000010002",
    wire: "elements; 0x30 for a null",
  }),
  row("VMSTATE_WITH_TMP", {
    says: "tmp(tenths, { save: (celsius: number) => ({ value: celsius * 10 }), load: ({ value }) => value / 10 })",
    field: tmp(tenths, { save: (celsius: number) => ({ value: celsius * 10 }), load: ({ value }) => value / 10 }),
    value: 20.5,
    bytes: "000000cd",
    wire: "the other shape's fields",
  }),
];

const lists: Row[] = [
  row("VMSTATE_QTAILQ_V", {
    says: "qtailq(page)",
    field: qtailq(page),
    value: [{ at: 3 }],
    bytes: "010000000300",
    wire: "0x01 before each, 0x00 at the end",
  }),
  row("VMSTATE_QLIST_V", {
    says: "qlist(page)",
    field: qlist(page),
    value: [{ at: 3 }],
    bytes: "010000000300",
    wire: "0x01 before each, 0x00 at the end",
  }),
  row("VMSTATE_GTREE_V", {
    says: "gtree({ key: page, value: point, order: (a, b) => a.at - b.at })",
    field: gtree({ key: page, value: point, order: (a, b) => a.at - b.at }),
    value: [{ key: { at: 3 }, value: { x: 1, y: 2 } }],
    bytes: "0000000101000000030001000200",
    wire: "be32 count; 0x01, key, value; 0x00",
  }),
  row("VMSTATE_GTREE_DIRECT_KEY_V", {
    says: 'gtree({ key: "direct", value: page })',
    field: gtree({ key: "direct", value: page }),
    value: [{ key: 9n, value: { at: 3 } }],
    bytes: "000000010100000000000000090000000300",
    wire: "be32 count; 0x01, be64 key, value; 0x00",
  }),
];

const padding: Row[] = [
  row("VMSTATE_UNUSED VMSTATE_UNUSED_BUFFER", {
    says: "unused(2)",
    field: unused(2),
    bytes: "0000",
    wire: "zeros; skipped on load",
  }),
  row("VMSTATE_UNUSED_V", {
    says: "since(2, unused(2))",
    field: since(2, unused(2)),
    bytes: "0000",
    wire: "from version 2 on",
  }),
  row("VMSTATE_UNUSED_TEST", {
    says: "when((own) => own.n8 > 1, unused(2))",
    field: when((own) => own["n8"] > 1, unused(2)),
    before: { n8: 2 },
    bytes: "0000",
    wire: "where the test says so",
  }),
  row("VMSTATE_UNUSED_VARRAY_UINT32", {
    says: "unused((own) => own.n32 * 2)",
    field: unused((own) => own["n32"] * 2),
    before: { n32: 1 },
    bytes: "0000",
    wire: "zeros; the count is an earlier field",
  }),
  row("VMSTATE_VALIDATE", {
    says: "validate((own) => own.n8 < 3)",
    field: validate((own) => own["n8"] < 3),
    before: { n8: 2 },
    bytes: "",
    wire: "nothing: a test at this place",
  }),
];

export const groups = { numbers, checks, conditions, bytes, arrays, structs, lists, padding } as const;
