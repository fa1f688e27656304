// Builds the documentation site: TypeDoc over every published entry, and the pages of `docs`.
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import {
  Application,
  Configuration,
  Converter,
  DocumentReflection,
  LogLevel,
  MinimalSourceFile,
  normalizePath,
  PageEvent,
  type ProjectReflection,
  TSConfigReader,
} from "typedoc";
import { diagramHtml } from "./diagrams.ts";
import { siteLinks } from "./links.ts";
import { themeWith } from "./navigation.ts";
import { type PublishedPackage, publishedPackages } from "./packages.ts";
import { firstPage, pageGroups, readPage } from "./pages.ts";
import { routerWith } from "./router.ts";

export const repositoryRoot: string = fileURLToPath(new URL("../../../", import.meta.url));
const own = (name: string): string => fileURLToPath(new URL(name, import.meta.url));

/** Writes the site into `folder`, which it empties first. Throws where TypeDoc has anything to warn of. */
export async function buildSite(folder: string): Promise<void> {
  const packages = publishedPackages(repositoryRoot);
  const groups = pageGroups.map(({ title, files }) => ({
    title,
    pages: files.map((file) => readPage(repositoryRoot, file)),
  }));
  const app = await application(folder, packages);
  app.renderer.defineTheme(
    "godwit",
    themeWith({
      packages,
      groups: groups.map(({ title, pages }) => ({ title, titles: pages.map((page) => page.title) })),
    }),
  );

  const pages = groups.flatMap((group) => group.pages);
  if (new Set(pages.map(({ title }) => title)).size < pages.length) throw new Error("two pages have one title");
  app.renderer.defineRouter("godwit", routerWith(pages));
  const modules = packages.filter(isImportable);
  const onSite = new Set([
    ...["README.md", firstPage],
    ...pages.flatMap(({ path }) => (path.endsWith("/README.md") ? [path, dirname(path)] : [path])),
    ...modules.flatMap((one) => [one.folder, join(one.folder, "README.md")]),
  ]);
  const absolute = (path: string) => normalizePath(join(repositoryRoot, path));
  const parsed = (path: string, text: string, { files }: ProjectReflection) => {
    const links = siteLinks(text, path, {
      hasPage: (target) => onSite.has(target),
      exists: (target) => existsSync(join(repositoryRoot, target)),
    });
    return app.converter.parseRawComment(new MinimalSourceFile(links, absolute(path)), files).content;
  };
  app.converter.on(Converter.EVENT_BEGIN, ({ project }: { readonly project: ProjectReflection }) => {
    const first = readPage(repositoryRoot, firstPage);
    project.readme = parsed(first.path, first.text, project);
    for (const path of ["README.md", first.path]) project.files.registerReflectionPath(absolute(path), project);
    for (const { path, title, text } of pages) {
      const page = new DocumentReflection(title, project, parsed(path, text, project), {});
      project.addChild(page);
      project.registerReflection(page, undefined, absolute(path));
      if (path.endsWith("/README.md")) {
        project.files.registerReflectionPath(absolute(dirname(path)), page);
      }
    }
  });
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }: { readonly project: ProjectReflection }) => {
    for (const { name, folder: home } of modules) {
      const module = project.children?.find((one) => one.name === name);
      if (module === undefined) throw new Error(`${name} has no module`);
      const path = join(home, "README.md");
      const text = readFileSync(join(repositoryRoot, path), "utf8").replace(/^# .+\n/, "");
      module.readme = parsed(path, text, project);
      for (const one of [home, path]) project.files.registerReflectionPath(absolute(one), module);
    }
  });

  // The theme's script puts the icons into each page; a file that a page on the disk may not open is not asked for.
  app.renderer.on(PageEvent.END, (page: { contents?: string }) => {
    if (page.contents !== undefined) page.contents = page.contents.replaceAll(/"[^"]*assets\/icons\.svg#/g, '"#');
  });

  const named = new Map(packages.flatMap(({ entries }) => entries.map(({ name, source }) => [absolute(source), name])));
  const entryPoints = app.getEntryPoints()?.map((entry) => {
    const displayName = named.get(normalizePath(entry.sourceFile.fileName));
    if (displayName === undefined) throw new Error(`${entry.sourceFile.fileName} is no entry`);
    return { ...entry, displayName };
  });
  if (entryPoints === undefined || entryPoints.length !== named.size)
    throw new Error("TypeDoc did not take every entry");
  const project = app.converter.convert(entryPoints);
  app.validate(project);
  await app.generateDocs(project, folder);
  const { warningCount, errorCount } = app.logger;
  if (warningCount + errorCount > 0) throw new Error(`${warningCount} warnings and ${errorCount} errors of TypeDoc's`);
}

const isImportable = ({ name, entries }: PublishedPackage): boolean => entries.some((entry) => entry.name === name);

interface MarkdownParser {
  readonly renderer: {
    readonly rules: Record<string, ((tokens: readonly Fence[], at: number, ...rest: unknown[]) => string) | undefined>;
  };
}
interface Fence {
  readonly info: string;
  readonly content: string;
}

function drawDiagrams({ renderer: { rules } }: MarkdownParser): void {
  const { fence } = rules;
  if (fence === undefined) throw new Error("the Markdown parser has no rule for fences");
  rules["fence"] = (tokens, at, ...rest) => {
    const { info, content } = tokens[at] as Fence;
    return info.trim() === "mermaid" ? diagramHtml(content) : fence(tokens, at, ...rest);
  };
}

async function application(out: string, packages: readonly PublishedPackage[]): Promise<Application> {
  const sources = packages.flatMap(({ entries }) => entries.map(({ source }) => join(repositoryRoot, source)));
  return Application.bootstrap(
    {
      name: "Godwit",
      out,
      entryPoints: sources,
      tsconfig: own("../tsconfig.site.json"),
      readme: "none",
      theme: "godwit",
      router: "godwit",
      customCss: own("assets/site.css"),
      customJs: own("assets/site.js"),
      favicon: own("assets/favicon.svg"),
      disableGit: true,
      disableSources: true,
      excludeInternal: true,
      excludePrivate: true,
      excludeExternals: true,
      searchInComments: true,
      searchInDocuments: true,
      sort: ["source-order"],
      sortEntryPoints: false,
      headings: { readme: true, document: true },
      highlightLanguages: ["ts", "js", "json", "sh", "text", "c"],
      hideGenerator: true,
      // `SIZES.md` is a file, and no host.
      markdownItOptions: { html: true, linkify: false },
      markdownItLoader: drawDiagrams,
      // For knip: another name of the same thing.
      modifierTags: [...Configuration.OptionDefaults.modifierTags, "@alias"],
      notRenderedTags: [...Configuration.OptionDefaults.notRenderedTags, "@alias"],
      logLevel: LogLevel.Warn,
    },
    [new TSConfigReader()],
  );
}
