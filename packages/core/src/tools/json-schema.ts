// The JSON Schema (draft 2020-12) of a state's JSON form: what `stateToJson` makes, and `stateFromJson` takes.
import type { CheckedSpec, IntSpec } from "../vmstate/spec.ts";
import type { Count, Description } from "../vmstate/types.ts";
import { textOf } from "./dump.ts";
import type { JsonObject } from "./json-value.ts";
import { type FieldOutline, type Form, fixed, formOfField, outlineOf } from "./outline.ts";

/** A schema that is an object; the keywords of draft 2020-12. */
export type JsonSchema = JsonObject;

/**
 * The schema of one description's states. Nested descriptions and subsections are in `$defs`, by name. What a schema cannot
 * say is in a `description`: the range of 64-bit decimal strings, checks that are functions, counts that depend on the record.
 * The value of a custom kind that is no list of described elements, and of a `tmp`, may be anything.
 */
export function jsonSchemaOf(description: Description): JsonSchema {
  const defs = new Definitions();
  const root = defs.body(description);
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: `${description.name} v${description.version}`,
    ...root,
    ...(defs.used && { $defs: defs.all() }),
  };
}

class Definitions {
  readonly #names = new Map<Description, string>();
  readonly #schemas = new Map<string, JsonSchema>();

  get used(): boolean {
    return this.#names.size > 0;
  }

  all(): JsonObject {
    return Object.fromEntries(this.#schemas);
  }

  body(description: Description): JsonSchema {
    const properties = new Map<string, JsonSchema>();
    for (const outline of outlineOf(description)) {
      if (outline.padding || outline.form === undefined) continue;
      properties.set(outline.key, this.#field(outline, outline.form));
    }
    for (const [key, part] of Object.entries(description.subsections)) properties.set(key, this.#ref(part.description));
    return {
      type: "object",
      properties: Object.fromEntries(properties),
      required: [...properties.keys()],
      additionalProperties: false,
    };
  }

  #ref(description: Description): JsonSchema {
    let name = this.#names.get(description);
    if (name === undefined) {
      const alike = [...this.#names.keys()].filter((one) => one.name === description.name).length;
      name = alike === 0 ? description.name : `${description.name}~${alike + 1}`;
      this.#names.set(description, name);
      // The name is taken before the body is made: it may hold itself.
      this.#schemas.set(name, {});
      this.#schemas.set(name, { title: `${description.name} v${description.version}`, ...this.body(description) });
    }
    return { $ref: `#/$defs/${pointerSegment(name)}` };
  }

  #field({ checks, form: _, name, key }: FieldOutline, form: Form): JsonSchema {
    const tests = checks.filter(({ code }) => code !== "FIELD_UNEQUAL");
    const texts = tests.flatMap(({ expected }) => textOf(expected) ?? []);
    const description = [...(name === key ? [] : [`${name} on the wire`]), ...texts];
    const own = this.#form(form);
    const all = [...(typeof own["description"] === "string" ? [own["description"]] : []), ...description];
    return { ...own, ...constant(checks, form), ...(all.length > 0 && { description: all.join("; ") }) };
  }

  #form(form: Form): JsonSchema {
    switch (form.kind) {
      case "int":
        return integer(form.spec);
      case "bool":
        return { type: "boolean" };
      case "timer":
        return { anyOf: [{ type: "null" }, decimal(false)], description: "nanoseconds; null: not pending" };
      case "cpudouble":
        return { ...decimal(false), description: "the 64 bits of a double" };
      case "bytes":
      case "unused":
        return base64(fixed(form.size));
      case "bitmap": {
        const bits = fixed(form.bits);
        return base64(bits === undefined ? undefined : Math.ceil(bits / 64) * 8);
      }
      case "struct":
        return this.#ref(form.description);
      case "tmp":
        return { description: `made from "${form.description.name}"` };
      case "array":
        return form.typed && isBytes(form.element)
          ? base64(fixed(form.count))
          : list(this.#form(form.element), form.count);
      case "pointers":
        return list({ anyOf: [{ type: "null" }, this.#form(form.element)] }, form.count);
      case "custom": {
        const { marked, kind } = form.codec;
        const element = marked && formOfField(marked);
        return element === undefined
          ? { description: kind }
          : { type: "array", items: this.#form(element), description: kind };
      }
    }
  }
}

const isBytes = (form: Form): boolean => form.kind === "int" && form.spec.bytes === 1 && !form.spec.signed;

function integer({ bytes, signed }: IntSpec): JsonSchema {
  if (bytes === 8) return decimal(signed);
  const span = 2 ** (8 * bytes);
  return { type: "integer", minimum: signed ? -span / 2 : 0, maximum: (signed ? span / 2 : span) - 1 };
}

function decimal(signed: boolean): JsonSchema {
  return {
    type: "string",
    pattern: signed ? "^(0|-?[1-9][0-9]{0,18})$" : "^(0|[1-9][0-9]{0,19})$",
    description: signed ? "a signed 64-bit integer" : "an unsigned 64-bit integer",
  };
}

function base64(bytes: number | undefined): JsonSchema {
  if (bytes === undefined) return { type: "string", contentEncoding: "base64" };
  const letters = Math.ceil(bytes / 3) * 4;
  return {
    type: "string",
    contentEncoding: "base64",
    minLength: letters,
    maxLength: letters,
    description: `${bytes} bytes`,
  };
}

function list(items: JsonSchema, count: Count): JsonSchema {
  const n = fixed(count);
  if (n !== undefined) return { type: "array", items, minItems: n, maxItems: n };
  return {
    type: "array",
    items,
    description: typeof count === "string" ? `as many as ${count} says` : "counted by the record",
  };
}

/** What both sides must agree on is one value. */
function constant(checks: readonly CheckedSpec[], form: Form): JsonSchema {
  const equal = checks.find(({ code }) => code === "FIELD_UNEQUAL");
  const text = equal && textOf(equal.expected);
  if (text === undefined || form.kind !== "int") return {};
  return { const: form.spec.bytes === 8 ? text : Number(text) };
}

/** RFC 6901, and what a URI fragment may not hold is escaped. */
function pointerSegment(name: string): string {
  return encodeURIComponent(name.replaceAll("~", "~0").replaceAll("/", "~1"));
}
