// A validator of the few keywords of JSON Schema 2020-12 that `jsonSchemaOf` of `@godwit/core/tools` writes; a keyword that
// it does not know throws.

type Schema = { readonly [key: string]: unknown };

/** What is wrong with a value, as paths and keywords; nothing where it is valid. */
export function faultsOf(root: Schema, value: unknown): string[] {
  const check = (at: Schema, one: unknown, path: string): string[] =>
    Object.entries(at).flatMap(([keyword, says]) => {
      const fits = keywords[keyword];
      if (fits === undefined) throw new Error(`unknown keyword ${keyword}`);
      return fits(says as never, one, at, (inner, part, key) => check(resolve(root, inner), part, `${path}${key}`)).map(
        (fault) => (fault === "" ? `${path} ${keyword}` : fault),
      );
    });
  return check(root, value, "");
}

function resolve(root: Schema, schema: Schema): Schema {
  const { $ref: ref, ...rest } = schema;
  if (typeof ref !== "string") return schema;
  const segments = decodeURIComponent(ref.slice(2)).split("/");
  let at: unknown = root;
  for (const one of segments) at = (at as Schema)[one.replaceAll("~1", "/").replaceAll("~0", "~")];
  if (at === undefined) throw new Error(`${ref} leads nowhere`);
  return { ...(at as Schema), ...rest };
}

type Inside = (schema: Schema, value: unknown, key: string) => string[];
/** Its own fault is the empty text; those of what is inside are told by `inside`. */
type Keyword = (says: never, value: unknown, schema: Schema, inside: Inside) => string[];

const own = (fits: boolean): string[] => (fits ? [] : [""]);
const ignored: Keyword = () => [];
const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const types: Readonly<Record<string, (value: unknown) => boolean>> = {
  object: isObject,
  array: Array.isArray,
  string: (value) => typeof value === "string",
  boolean: (value) => typeof value === "boolean",
  integer: Number.isInteger,
  null: (value) => value === null,
};

const keywords: Readonly<Record<string, Keyword>> = {
  $schema: ignored,
  $defs: ignored,
  title: ignored,
  description: ignored,
  contentEncoding: (says: string, value) => {
    const isBase64 = typeof value === "string" && Buffer.from(value, "base64").toString("base64") === value;
    return own(says === "base64" && isBase64);
  },
  type: (says: string, value) => own(types[says]?.(value) === true),
  const: (says: unknown, value) => own(says === value),
  minimum: (says: number, value) => own((value as number) >= says),
  maximum: (says: number, value) => own((value as number) <= says),
  minLength: (says: number, value) => own((value as string).length >= says),
  maxLength: (says: number, value) => own((value as string).length <= says),
  pattern: (says: string, value) => own(new RegExp(says, "u").test(String(value))),
  minItems: (says: number, value) => own((value as unknown[]).length >= says),
  maxItems: (says: number, value) => own((value as unknown[]).length <= says),
  anyOf: (says: readonly Schema[], value, _, inside) => own(says.some((one) => inside(one, value, "").length === 0)),
  items: (says: Schema, value, _, inside) =>
    Array.isArray(value) ? value.flatMap((one, i) => inside(says, one, `[${i}]`)) : [],
  required: (says: readonly string[], value) => own(isObject(value) && says.every((key) => Object.hasOwn(value, key))),
  properties: (says: Readonly<Record<string, Schema>>, value, _, inside) =>
    isObject(value)
      ? Object.entries(says).flatMap(([key, one]) =>
          Object.hasOwn(value, key) ? inside(one, value[key], `.${key}`) : [],
        )
      : [],
  additionalProperties: (says: boolean, value, { properties }) =>
    own(
      says !== false || !isObject(value) || Object.keys(value).every((key) => Object.hasOwn(properties as object, key)),
    ),
};
