// QTAILQ and QLIST: the same bytes under two names. Source: wire reference 2.4; QEMU: vmstate_info_qtailq, _qlist.
import { customField, type Description, type Field, MigrationError, type StateOf, struct, vstruct } from "@godwit/core";
import { type ListDialect, type ListKind, listSteps, vmdescType } from "./list-steps.ts";
import { type RecursiveListInit, recursiveList } from "./recursive-list.ts";

export interface ListInit {
  readonly dialect?: ListDialect;
  /**
   * Merged dialect: the version that the field names (QEMU: the last argument of VMSTATE_QTAILQ_V). Elements are always
   * written in their own version; one that would be read differently is `DEFINITION_INVALID`. The default is the
   * element's own.
   */
  readonly version?: number;
}

/**
 * A QTAILQ: elements in their order. The state is an array of element states. An element is a description, any field, or
 * a function that names a description late, so that it may hold lists of itself.
 */
export function qtailq<D extends Description>(element: D, init?: ListInit): Field<StateOf<D>[]>;
export function qtailq<T>(element: Field<T>, init?: Omit<ListInit, "version">): Field<T[]>;
export function qtailq<T>(element: () => Description<T>, init?: RecursiveListInit): Field<T[]>;
export function qtailq(element: Element, init: ListInit & RecursiveListInit = {}): Field<unknown[]> {
  return list("qtailq", element, init);
}

/** A QLIST: the same bytes as a QTAILQ, and the same order. */
export function qlist<D extends Description>(element: D, init?: ListInit): Field<StateOf<D>[]>;
export function qlist<T>(element: Field<T>, init?: Omit<ListInit, "version">): Field<T[]>;
export function qlist<T>(element: () => Description<T>, init?: RecursiveListInit): Field<T[]>;
export function qlist(element: Element, init: ListInit & RecursiveListInit = {}): Field<unknown[]> {
  return list("qlist", element, init);
}

type Element = Description | Field | (() => Description);

function list(kind: ListKind, element: Element, init: ListInit & RecursiveListInit): Field<unknown[]> {
  const { dialect = "merged", version } = init;
  if (typeof element === "function") return recursiveList(kind, element, init);
  const read = isDescription(element) ? readAs(element, dialect, version) : element;
  const written = !isDescription(element) || (version ?? element.version) === element.version ? read : struct(element);
  return customField({
    kind: vmdescType(kind, dialect),
    ...listSteps(
      kind,
      () => read,
      () => written,
    ),
    ...(read === written ? { marked: read } : {}),
    ...(isDescription(element) ? { elements: element } : {}),
  });
}

function isDescription(element: Description | Field): element is Description {
  return "format" in element;
}

function readAs(element: Description, dialect: ListDialect, version: number | undefined): Field {
  if (version === undefined || version === element.version) return struct(element);
  if (dialect === "proposal") {
    throw invalid(element, "in the proposal's dialect an element is read in its own version");
  }
  for (const [key, field] of Object.entries(element.fields)) {
    const { since } = field as Field & { readonly since?: number };
    if (since !== undefined && since > version) {
      throw invalid(element, `"${key}" would be written, and not be read in version ${version}`);
    }
  }
  return vstruct(element, version);
}

function invalid(element: Description, why: string): MigrationError {
  return new MigrationError("DEFINITION_INVALID", `a list of "${element.name}": ${why}`, { side: "define" });
}
