import { type Bag, type ErrorOrigin, IopaError, isIopaError, originOf, withOrigin } from '@iopa/constants'
import type { LinkAnswer } from '@iopa/context'
import type { Channel } from '../contract/transport.ts'

/** The error, marked with its origin; a copy where it cannot be marked, for many share it. */
export const marked = (error: unknown, origin: ErrorOrigin): unknown =>
  originOf(withOrigin(error, origin)) !== undefined || !isIopaError(error) ? error : markedCopy(error, origin)

/** A copy that is marked, of an error that others keep. */
export const markedCopy = (error: IopaError, origin: ErrorOrigin): IopaError => {
  const { status, code, detail, headers, extensions } = error
  const copy = new IopaError(status, code, detail, {
    cause: error,
    ...(headers === undefined ? undefined : { headers }),
    ...(extensions === undefined ? undefined : { extensions })
  })
  return withOrigin(copy, origin)
}

/** Runs `work`, whose errors are no fault of a peer of this app. */
export const marking = <T>(origin: ErrorOrigin, work: () => T): T => {
  try {
    return work()
  } catch (error) {
    throw marked(error, origin)
  }
}

const MARKED: unique symbol = Symbol.for('iopa.marked-channel') as never

/**
 * A channel whose errors are marked as those of another server: a handler that does not catch them answers 502 or 504,
 * and tells its own peer nothing of them. The reason of a signal stays as it is.
 */
export const upstream = async (connecting: Promise<Channel>): Promise<Channel> => {
  let channel: Channel
  try {
    channel = await connecting
  } catch (error) {
    throw marked(error, 'upstream')
  }
  if (MARKED in channel) return channel
  const { send, observe } = channel
  const failed = (request: Bag, error: unknown): unknown => (error === request['iopa.CallCancelled']?.reason ? error : marked(error, 'upstream'))
  return Object.assign(channel, {
    [MARKED]: true,
    async send(request: Bag): Promise<LinkAnswer> {
      try {
        return await send.call(channel, request)
      } catch (error) {
        throw failed(request, error)
      }
    },
    observe: (request: Bag): AsyncIterable<LinkAnswer> =>
      markedAnswers(
        marking('upstream', () => observe.call(channel, request)),
        error => failed(request, error)
      )
  })
}

const markedAnswers = (answers: AsyncIterable<LinkAnswer>, failed: (error: unknown) => unknown): AsyncIterableIterator<LinkAnswer> => {
  let iterator: AsyncIterator<LinkAnswer> | null = null
  const begun = (): AsyncIterator<LinkAnswer> => (iterator ??= answers[Symbol.asyncIterator]())
  return {
    next: () =>
      begun()
        .next()
        .catch((error: unknown) => Promise.reject(failed(error))),
    return: value => begun().return?.(value) ?? Promise.resolve({ done: true, value }),
    [Symbol.asyncIterator]() {
      return this
    }
  }
}
