import { abortable, readBody } from '@iopa/context/host'
import type { OutgoingRequest } from './outgoing.ts'

/**
 * The body of a request as bytes, null for none: for a protocol that sends it whole. Rejects with the reason of the signal as soon as that aborts, and
 * the client then gives the body up. @throws IopaError 413 beyond `limit` bytes
 */
export const requestBytes = async ({ body }: OutgoingRequest, limit: number, signal: AbortSignal): Promise<Uint8Array | null> => {
  signal.throwIfAborted()
  if (body === null) return null
  return body instanceof Uint8Array ? readBody(body, limit) : abortable(signal, async () => readBody(body, limit))
}

/** Ends a streamed body that is not sent. It may have been read to its end. */
export const giveUpBody = (body: OutgoingRequest['body']): void => {
  if (body === null || body instanceof Uint8Array) return
  const stream = body as AsyncIterable<Uint8Array> & Partial<AsyncIterator<Uint8Array>>
  stream.return?.()?.then(undefined, () => undefined)
}
