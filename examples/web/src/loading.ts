// Brings the files that reports are made with, all of them before the first film.

/** The files of some addresses. `onProgress` gets bytes; a total of 0 is one that isn't known. */
export async function loadFiles(
  addresses: readonly URL[],
  onProgress: (loaded: number, total: number) => void,
): Promise<Blob[]> {
  const loaded = addresses.map(() => 0);
  const totals = addresses.map(() => Number.NaN);
  const responses = await Promise.all(addresses.map(request));
  return Promise.all(
    responses.map(async ({ body, headers }, place) => {
      // The length of what is sent compressed is none of what arrives.
      if (!headers.has("Content-Encoding")) totals[place] = Number(headers.get("Content-Length") ?? Number.NaN);
      const counted = body.pipeThrough(
        new TransformStream<Uint8Array, Uint8Array>({
          transform(chunk, controller) {
            loaded[place] = (loaded[place] ?? 0) + chunk.length;
            onProgress(sum(loaded), sum(totals) || 0);
            controller.enqueue(chunk);
          },
        }),
      );
      try {
        return await new Response(counted).blob();
      } catch (error) {
        throw new Error(`${nameOf(addresses[place])} was cut off while it was loaded`, { cause: error });
      }
    }),
  );
}

async function request(address: URL): Promise<{ body: ReadableStream<Uint8Array>; headers: Headers }> {
  let response: Response;
  try {
    response = await fetch(address);
  } catch (error) {
    throw new Error(`${nameOf(address)} can't be loaded: the server doesn't answer`, { cause: error });
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
