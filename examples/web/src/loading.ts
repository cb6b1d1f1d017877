// Brings the files that reports are made with, all of them before the first film.

/**
 * The files of some addresses. `onProgress` gets bytes; a total of 0 is one that isn't known. Where one of them can't be
 * loaded, the others aren't loaded any further.
 */
export async function loadFiles(
  addresses: readonly URL[],
  onProgress: (loaded: number, total: number) => void,
): Promise<Blob[]> {
  const stop = new AbortController();
  try {
    return await load(addresses, onProgress, stop.signal);
  } catch (error) {
    stop.abort();
    throw error;
  }
}

async function load(
  addresses: readonly URL[],
  onProgress: (loaded: number, total: number) => void,
  signal: AbortSignal,
): Promise<Blob[]> {
  const loaded = addresses.map(() => 0);
  const totals = addresses.map(() => Number.NaN);
  const responses = await Promise.all(addresses.map((address) => request(address, signal)));
  return Promise.all(
    responses.map(async ({ body, headers }, place) => {
      // The length of what is sent compressed is none of what arrives.
      if (!headers.has("Content-Encoding")) totals[place] = Number(headers.get("Content-Length") ?? Number.NaN);
      const counted = body.pipeThrough(
        new TransformStream<Uint8Array, Uint8Array>({
          transform(chunk, controller) {
            signal.throwIfAborted(); // nothing more is said of it
            loaded[place] = (loaded[place] ?? 0) + chunk.length;
            onProgress(sum(loaded), sum(totals) || 0);
            controller.enqueue(chunk);
          },
        }),
      );
      try {
        return await new Response(counted).blob();
      } catch (error) {
        throw new Error(`${nameOf(addresses[place])} was cut off while it was loaded; reload the page to try again`, {
          cause: error,
        });
      }
    }),
  );
}

async function request(
  address: URL,
  signal: AbortSignal,
): Promise<{ body: ReadableStream<Uint8Array>; headers: Headers }> {
  let response: Response;
  try {
    response = await fetch(address, { signal });
  } catch (error) {
    throw new Error(`${nameOf(address)} can't be loaded: the server doesn't answer; reload the page to try again`, {
      cause: error,
    });
  }
  const { body, headers } = response;
  if (!response.ok || !body)
    throw new Error(`${nameOf(address)} can't be loaded: the server answers ${response.status}`);
  return { body, headers };
}

function nameOf(address: URL | undefined): string {
  return address?.pathname.split("/").at(-1) ?? "";
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
