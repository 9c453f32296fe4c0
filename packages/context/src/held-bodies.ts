import { isPlainObject } from '@iopa/constants'
import type { PayloadStream } from './payload-stream.ts'
import { chunksOf, heed, type Source } from './source-streams.ts'
import { KIND, kindOf } from './value-kind.ts'

/**
 * The streams that have been the body of one answer. A replaced one may be part of the one that replaced it, so all of
 * them live as long as the scope; then what has not been read to its end is given up, once.
 */
export class HeldBodies {
  readonly #sources: object[] = []
  readonly #streams: PayloadStream[] = []

  /** The one reader of a stream, whatever it is asked for. */
  hold(source: Source): PayloadStream {
    const known = this.#sources.indexOf(source)
    if (known >= 0) return this.#streams[known] as PayloadStream
    const stream = chunksOf(source)
    this.#sources.push(source)
    this.#streams.push(stream)
    return stream
  }

  giveUp(): void {
    this.#sources.length = 0
    for (let stream = this.#streams.pop(); stream !== undefined; stream = this.#streams.pop()) void stream.return()
  }
}

/** Gives up a value that will not be sent, so that it holds nothing open. It never throws. */
export const abandonValue = (value: unknown): void => {
  if (typeof value !== 'object' || value === null) return
  try {
    const kind = kindOf(value)
    if (kind === KIND.Reply) abandonValue((value as { readonly body: unknown }).body)
    else if (kind === KIND.Response) abandonValue((value as Response).body)
    else if (kind === KIND.Answer) {
      const answer = value as { readonly sealed: boolean; readonly payload: unknown; readonly body: unknown }
      abandonValue(answer.sealed ? answer.payload : answer.body)
    } else if (kind === KIND.Stream || (kind === KIND.Items && typeof (value as { next?: unknown }).next === 'function')) {
      void chunksOf(value as Source).return()
    } else if (kind === KIND.Unsendable) {
      heed(value)
      // Its rejection must not end the process, nor what it gives stay open.
      if (value instanceof Promise) value.then(abandonValue, () => undefined)
    }
  } catch {
    // A hostile getter; there is nothing that could be closed.
  }
}

const MOST_VISITS = 10_000

/** Gives up the streams within a value that has no form to be sent in, as far as they are found in objects, arrays and Maps. */
export const abandonWithin = (root: unknown): void => {
  const seen = new Set<unknown>([root])
  for (const value of seen) {
    if (seen.size > MOST_VISITS) return
    if (typeof value !== 'object' || value === null) continue
    try {
      if (Array.isArray(value) || isPlainObject(value)) for (const member of Object.values(value)) seen.add(member)
      else if (value instanceof Map) for (const member of value.values()) seen.add(member)
      else abandonValue(value)
    } catch {
      // A hostile getter or Proxy.
    }
  }
}
