import { abortable, readBody } from '@iopa/context/host'
import type { Clock } from '../contract/clock.ts'
import { answerTimeout } from './failures.ts'
import type { OutgoingRequest } from './outgoing.ts'

/** Bounds of reading the body of a request before it is sent. */
export interface RequestBodyBounds {
  /** Bytes. */
  readonly limit: number
  readonly clock: Clock
  /** Milliseconds. */
  readonly timeout: number
  /** Aborts when the channel is closed. */
  readonly closing: AbortSignal
}

/**
 * The body of a request as bytes, null for none. A stream that does not end in time, before the signal aborts or before the channel is closed, is
 * given up. Rejects with the reason of the signal, also where there is nothing to read. @throws IopaError 413, 504.
 */
export const readRequestBody = async ({ body, signal }: OutgoingRequest, bounds: RequestBodyBounds): Promise<Uint8Array | null> => {
  const { limit, clock, timeout, closing } = bounds
  signal?.throwIfAborted()
  closing.throwIfAborted()
  if (body === null) return null
  if (body instanceof Uint8Array) return readBody(body, limit)
  let given = false
  let timer: unknown
  const stream = body as AsyncIterable<Uint8Array> & Partial<AsyncIterator<Uint8Array>>
  const late = new Promise<never>((_, reject) => {
    timer = clock.setTimeout(() => reject(answerTimeout(timeout)), timeout)
  })
  try {
    const bytes = await abortable(signal, () => abortable(closing, () => Promise.race([readBody(body, limit), late])))
    given = true
    return bytes
  } finally {
    clock.clearTimeout(timer)
    if (!given) stream.return?.()?.then(undefined, () => undefined)
  }
}

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
