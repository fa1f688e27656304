// What a description says of each of its fields, without the wrappers that its author put around it: for dumps, schemas, pages.
import type { CheckedSpec, CustomCodec, IntSpec, Spec } from "../vmstate/spec.ts";
import type { Count, Description, Field } from "../vmstate/types.ts";

/** What stands on the wire, and in a state. */
export type Form =
  | { readonly kind: "int"; readonly spec: IntSpec }
  | { readonly kind: "bool" | "timer" | "cpudouble" }
  | { readonly kind: "bytes" | "unused"; readonly size: Count }
  | { readonly kind: "bitmap"; readonly bits: Count }
  | { readonly kind: "struct"; readonly description: Description; readonly version: number | undefined }
  | { readonly kind: "tmp"; readonly description: Description }
  | {
      readonly kind: "array" | "pointers";
      readonly element: Form;
      readonly type: string;
      readonly count: Count;
      /** Integers without checks: in a state, the typed array of their width. */
      readonly typed: boolean;
    }
  | { readonly kind: "custom"; readonly codec: CustomCodec<unknown, unknown> };

export interface FieldOutline {
  readonly key: string;
  /** The wire's name. */
  readonly name: string;
  /** As a vmdesc would say; of an array, of its elements. */
  readonly type: string;
  readonly padding: boolean;
  readonly since: number | undefined;
  readonly until: number | undefined;
  /** A function of the record decides whether it is there, or whether it may be missing. */
  readonly tested: boolean;
  readonly mustExist: boolean;
  /** Outermost first. */
  readonly checks: readonly CheckedSpec[];
  /** Undefined for a test that stands between fields and has no bytes. */
  readonly form: Form | undefined;
}

export function outlineOf({ fields }: Description): FieldOutline[] {
  return Object.entries(fields).map(([key, field]) => outlineOfField(key, field as Spec));
}

function outlineOfField(key: string, field: Spec): FieldOutline {
  let spec: Spec | undefined = field;
  let name: string | undefined;
  let condition: Extract<Spec, { kind: "condition" }> | undefined;
  while (spec?.kind === "named" || spec?.kind === "condition") {
    if (spec.kind === "named") name ??= spec.name;
    else condition = spec;
    spec = spec.element as Spec | undefined;
  }
  const { since, until, mustExist = false } = condition ?? {};
  const { form, type, checks } = spec === undefined ? nothing : formOf(spec);
  const isPadding = key.startsWith("_");
  return {
    key,
    name: name ?? (isPadding && form?.kind === "unused" ? "unused" : key),
    type,
    padding: isPadding,
    since,
    until,
    tested: condition !== undefined && since === undefined && until === undefined,
    mustExist,
    checks,
    form,
  };
}

interface Formed {
  readonly form: Form | undefined;
  readonly type: string;
  readonly checks: readonly CheckedSpec[];
}

const nothing: Formed = { form: undefined, type: "", checks: [] };

function formOf(spec: Spec): Formed {
  switch (spec.kind) {
    case "int":
      return { form: { kind: "int", spec }, type: spec.info, checks: [] };
    case "bool":
    case "timer":
      return { form: { kind: spec.kind }, type: spec.kind, checks: [] };
    case "cpudouble":
      return { form: { kind: "cpudouble" }, type: "CPU_Double_U", checks: [] };
    case "buffer":
      return { form: { kind: spec.padding ? "unused" : "bytes", size: spec.size }, type: spec.info, checks: [] };
    case "bitmap":
      return { form: { kind: "bitmap", bits: spec.bits }, type: "bitmap", checks: [] };
    case "struct": {
      const { description, version } = spec;
      return {
        form: { kind: "struct", description, version },
        type: version === undefined ? "struct" : "vstruct",
        checks: [],
      };
    }
    case "tmp":
      return { form: { kind: "tmp", description: spec.description }, type: "tmp", checks: [] };
    case "checked": {
      const inner = formOf(spec.element as Spec);
      return { ...inner, type: spec.info ?? inner.type, checks: [spec, ...inner.checks] };
    }
    case "array":
    case "pointers": {
      const { form, type, checks } = formOf(spec.element as Spec);
      const element = form as Form;
      const typed = spec.kind === "array" && (spec.element as Spec).kind === "int";
      return { form: { kind: spec.kind, element, type, count: spec.count, typed }, type, checks };
    }
    case "custom":
      return { form: { kind: "custom", codec: spec.custom }, type: spec.custom.kind, checks: [] };
    default:
      return nothing;
  }
}

/** Bytes on the wire, where they are the same for every record. */
export function fixedBytes(form: Form): number | undefined {
  switch (form.kind) {
    case "int":
      return form.spec.bytes;
    case "bool":
      return 1;
    case "timer":
    case "cpudouble":
      return 8;
    case "bytes":
    case "unused":
      return fixed(form.size);
    case "bitmap": {
      const bits = fixed(form.bits);
      return bits === undefined ? undefined : Math.ceil(bits / 64) * 8;
    }
    case "struct":
      return fixedBody(form.description, form.version ?? form.description.version);
    case "tmp":
      return fixedBody(form.description, 0);
    case "array": {
      const [count, bytes] = [fixed(form.count), fixedBytes(form.element)];
      return count === undefined || bytes === undefined ? undefined : count * bytes;
    }
    default:
      return undefined;
  }
}

/** Bytes of a body that is read as `version`; undefined where they depend on the record. */
export function fixedBody(description: Description, version: number): number | undefined {
  if (Object.keys(description.subsections).length > 0) return undefined;
  let bytes = 0;
  for (const { form, tested, mustExist, since = 0, until = Number.POSITIVE_INFINITY } of outlineOf(description)) {
    if (form === undefined || version < since || version >= until) continue;
    const own = fixedBytes(form);
    if (own === undefined || (tested && !mustExist)) return undefined;
    bytes += own;
  }
  return bytes;
}

export function fixed(count: Count): number | undefined {
  return typeof count === "number" ? count : undefined;
}

/** The description of what a field holds, or of each of its elements. */
export function descriptionIn(form: Form): Description | undefined {
  switch (form.kind) {
    case "struct":
    case "tmp":
      return form.description;
    case "array":
    case "pointers":
      return descriptionIn(form.element);
    case "custom":
      return form.codec.elements ?? markedDescription(form.codec.marked);
    default:
      return undefined;
  }
}

function markedDescription(marked: Field | undefined): Description | undefined {
  const form = marked && formOf(marked as Spec).form;
  return form && descriptionIn(form);
}

/** The form of a field by itself. */
export function formOfField(field: Field): Form | undefined {
  return outlineOfField("field", field as Spec).form;
}
