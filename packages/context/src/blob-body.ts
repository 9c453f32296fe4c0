import type { RandomAccessBody } from '@iopa/constants'
import { chunksOf } from './source-streams.ts'

/** A Blob or File as a body: it knows its size, and any part of it can be read. */
export class BlobBody implements RandomAccessBody {
  readonly size: number
  readonly #blob: Blob

  constructor(blob: Blob) {
    this.#blob = blob
    this.size = blob.size
  }

  async read(start: number, end: number): Promise<Uint8Array> {
    return new Uint8Array(await this.#blob.slice(start, end).arrayBuffer())
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return chunksOf(this.#blob.stream())
  }
}

/** A form as multipart/form-data (RFC 7578), with a boundary that the platform chooses. */
export const multipartOf = (form: FormData): { readonly payload: AsyncIterable<Uint8Array>; readonly type: string } => {
  const response = new Response(form)
  const type = response.headers.get('content-type') ?? ''
  if (response.body !== null && type.startsWith('multipart/form-data')) return { payload: chunksOf(response.body), type }
  // A form of a library: the platform knows only its own.
  const own = new FormData()
  form.forEach((value, name) => {
    own.append(name, value)
  })
  return multipartOf(own)
}
