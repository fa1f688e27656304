// The guides stand open in the navigation, until the reader shuts them.
try {
  const key = "tsd-accordion-Guides";
  if (localStorage.getItem(key) === null) localStorage.setItem(key, "true");
} catch {
  // A browser that keeps nothing shows them shut.
}
