import { chunksOf, heed, type PayloadStream, type Source } from './payload-stream.ts'
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
      // A promise that nobody awaits must not end the process when it is rejected.
      if (value instanceof Promise) value.catch(() => undefined)
    }
  } catch {
    // A hostile getter; there is nothing that could be closed.
  }
}
