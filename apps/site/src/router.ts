// Addresses of pages: those of the API by kind and name, those of `docs` as their files are called, whatever their titles.
import { type Application, KindRouter, type Router } from "typedoc";
import { addressOf, type Page } from "./pages.ts";

export function routerWith(pages: readonly Page[]): new (application: Application) => Router {
  const addresses = new Map(pages.map(({ title, path }) => [title, addressOf(path)]));
  return class extends KindRouter {
    protected override getIdealBaseName(target: Parameters<KindRouter["getIdealBaseName"]>[0]): string {
      const address = target.isDocument() ? addresses.get(target.name) : undefined;
      return address ?? super.getIdealBaseName(target);
    }
  };
}
