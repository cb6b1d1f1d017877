// Films that are dropped on the page, folders with all that is in them too.

/** Calls `add` with the films that are dropped anywhere on the page. */
export function acceptDrops(add: (files: File[]) => void): void {
  let depth = 0; // a drag enters and leaves each element on its way
  const show = () => document.body.toggleAttribute("data-dropping", depth > 0);
  document.addEventListener("dragenter", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth++;
    show();
  });
  document.addEventListener("dragleave", (event) => {
    if (!hasFiles(event)) return;
    depth = Math.max(0, depth - 1);
    show();
  });
  // Always: a browser would leave the page for a file that is dropped on it.
  document.addEventListener("dragover", (event) => {
    if (hasFiles(event)) event.preventDefault();
  });
  document.addEventListener("drop", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    depth = 0;
    show();
    void droppedFiles(event.dataTransfer).then(add);
  });
}

function hasFiles({ dataTransfer }: DragEvent): boolean {
  return dataTransfer?.types.includes("Files") ?? false;
}

async function droppedFiles(data: DataTransfer | null): Promise<File[]> {
  // All at once: after the first wait, the list of what was dropped is empty.
  const dropped = [...(data?.items ?? [])]
    .filter(({ kind }) => kind === "file")
    .map((item) => ({ file: item.getAsFile(), entry: item.webkitGetAsEntry() }));
  const found = await Promise.all(
    dropped.map(({ file, entry }) => (entry?.isDirectory ? filesIn(entry) : file ? [file] : [])),
  );
  return found.flat();
}

async function filesIn(entry: FileSystemEntry): Promise<File[]> {
  try {
    if (entry.isFile) return [await new Promise<File>((give, fail) => (entry as FileSystemFileEntry).file(give, fail))];
    const reader = (entry as FileSystemDirectoryEntry).createReader();
    const entries: FileSystemEntry[] = [];
    for (;;) {
      const more = await new Promise<FileSystemEntry[]>((give, fail) => reader.readEntries(give, fail));
      if (!more.length) break; // a browser gives a hundred at a time
      entries.push(...more);
    }
    entries.sort((one, other) => one.name.localeCompare(other.name, "en", { numeric: true }));
    return (await Promise.all(entries.filter(({ name }) => !name.startsWith(".")).map(filesIn))).flat();
  } catch {
    return []; // gone, or not to be read
  }
}
