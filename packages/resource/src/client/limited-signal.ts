import { IopaError } from '@iopa/transport'
import type { CallOptions } from './client-types.ts'

/** A signal that the caller or a time limit aborts. */
export interface LimitedSignal {
  readonly signal: AbortSignal | undefined
  /** Takes the time limit away: the answer has begun. */
  settled(): void
  /** Forgets the signal of the caller, and the time limit. */
  done(): void
}

const nothing = (): void => undefined

/** Composed by hand: `AbortSignal.any` keeps memory of every signal that it made, on Node 20 and 22. */
export const limitedSignal = ({ signal, timeout }: CallOptions): LimitedSignal => {
  if (timeout === undefined) return { signal, settled: nothing, done: nothing }
  const controller = new AbortController()
  const abort = (): void => controller.abort(signal?.reason)
  if (signal?.aborted) abort()
  signal?.addEventListener('abort', abort, { once: true })
  const timer = setTimeout(() => controller.abort(new IopaError(504, 'timeout', `No answer came within ${timeout} ms.`)), timeout)
  const settled = (): void => clearTimeout(timer)
  return {
    signal: controller.signal,
    settled,
    done: () => {
      settled()
      signal?.removeEventListener('abort', abort)
    }
  }
}
