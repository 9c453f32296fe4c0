import { IopaError, MEDIA_TYPES } from '@iopa/constants'
import type { Clock } from '../contract/clock.ts'

/** How long an answer's body may be silent, in milliseconds: the limit, but any time for events, which come when something happens. */
export const silenceLimit = (type: string, limit: number): number => (type.startsWith(MEDIA_TYPES.EventStream) ? Number.POSITIVE_INFINITY : limit)

/** The next chunk of a body. Rejects if it does not arrive within `limit` ms; then cancel the body. */
export const nextChunk = (body: AsyncIterator<Uint8Array>, limit: number, clock: Clock): Promise<IteratorResult<Uint8Array>> => {
  const next = body.next()
  if (limit === Number.POSITIVE_INFINITY) return next
  return new Promise((resolve, reject) => {
    const timer = clock.setTimeout(() => reject(new IopaError(500, 'body-stalled', `The body made no progress for ${limit} ms.`)), limit, {
      keep: true
    })
    next.then(resolve, reject).finally(() => clock.clearTimeout(timer))
  })
}
