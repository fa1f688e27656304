// The site's navigation: guides, then reference pages, then packages with their entries.
import {
  type Application,
  type DeclarationReflection,
  DefaultTheme,
  type NavigationElement,
  type ProjectReflection,
} from "typedoc";
import type { PublishedPackage } from "./packages.ts";
import type { PageGroup } from "./pages.ts";

export interface Outline {
  readonly groups: readonly (Pick<PageGroup, "title"> & { readonly titles: readonly string[] })[];
  readonly packages: readonly PublishedPackage[];
}

/** A theme is a class to TypeDoc; this one is the default theme with another navigation. */
export function themeWith(outline: Outline): new (renderer: Application["renderer"]) => DefaultTheme {
  return class extends DefaultTheme {
    override buildNavigation(project: ProjectReflection): NavigationElement[] {
      return navigationOf(project, outline, (reflection) => this.router.getFullUrl(reflection));
    }
  };
}

function navigationOf(
  project: ProjectReflection,
  { groups, packages }: Outline,
  urlOf: (reflection: DeclarationReflection | NonNullable<ProjectReflection["documents"]>[number]) => string,
): NavigationElement[] {
  const pages = groups.map(({ title, titles }) => ({
    text: title,
    children: titles.map((text) => {
      const page = project.documents?.find(({ name }) => name === text);
      if (page === undefined) throw new Error(`no page "${text}"`);
      return { text, path: urlOf(page), kind: page.kind };
    }),
  }));
  const entry = (name: string, text = name): NavigationElement => {
    const found = project.children?.find((one) => one.name === name);
    if (found === undefined) throw new Error(`no entry "${name}"`);
    return { text, path: urlOf(found), kind: found.kind };
  };
  const shown = packages.filter(({ entries }) => entries.length > 0);
  return [
    ...pages,
    {
      text: "Packages",
      children: shown.map(({ name, entries }) => {
        const [main, ...more] = entries.map((one) => one.name);
        if (main !== name)
          return { text: name, children: [main as string, ...more].map((one) => entry(one, one.slice(name.length))) };
        return {
          ...entry(name),
          ...(more.length > 0 && { children: more.map((one) => entry(one, one.slice(name.length))) }),
        };
      }),
    },
  ];
}
