import type { Clock } from '@iopa/transport'
import type { CachedRequest } from './cache-key.ts'
import type { ForwardedAnswer } from './forwarding.ts'
import type { CacheBounds } from './options.ts'
import { type StoredAnswer, StoredAnswers } from './stored-answers.ts'

/** Asks the server, with an entity tag that it may answer by 2.03. */
export type AskServer = (etag?: string) => Promise<ForwardedAnswer>

/** Seconds for which an answer is fresh that does not say (RFC 7252 section 5.10.5). */
const DEFAULT_MAX_AGE = 60
/** Errors that say something of the resource, and not of the user or of the moment. They are kept where they say for how long. */
const KEPT_ERRORS: ReadonlySet<number> = new Set([400, 404, 405, 406, 415])
/** An answer that is not fresh any more is kept for validation no longer than this, in milliseconds. */
const LONGEST_STALE = 24 * 3_600_000

/** A request that the server has not answered yet. */
interface Flight {
  readonly resource: string
  /** A change came in between: what it gets may be old. */
  old: boolean
}

/** The answers of servers, as long as they are fresh, and for validation after that (RFC 7252 section 5.6). */
export class AnswerCache {
  readonly #stored: StoredAnswers
  readonly #clock: Clock
  readonly #flights = new Set<Flight>()

  constructor(bounds: Required<CacheBounds>, clock: Clock) {
    this.#stored = new StoredAnswers(bounds)
    this.#clock = clock
  }

  get size(): number {
    return this.#stored.size
  }

  /** The answer that is kept, or that of the server. */
  async answer(request: CachedRequest, ask: AskServer): Promise<ForwardedAnswer> {
    const { key, resource, isCoap } = request
    const stored = this.#stored.get(key)
    const age = stored === undefined ? 0 : this.#clock.elapsed() - stored.at
    if (stored !== undefined && age < stored.fresh && !request.revalidates && !request.passing) return aged(stored, age, isCoap)
    const known = stored !== undefined && age < stored.fresh + LONGEST_STALE ? stored : undefined
    const flight: Flight = { resource, old: false }
    this.#flights.add(flight)
    try {
      const first = await ask(known?.etag)
      // A 2.03 for the tag of nobody: it would leave a client that has no answer without one.
      const isLost = first.status === 304 && known?.etag !== undefined && headerOf(first, 'etag') !== known.etag && !request.hasTags
      const answer = isLost ? await ask() : first
      const isKept = !flight.old && !request.passing
      if (known !== undefined && answer.status === 304 && headerOf(answer, 'etag') === known.etag) {
        // RFC 7252 section 5.9.1.3: what 2.03 says of freshness holds for the answer that is kept.
        const refreshed: StoredAnswer = {
          ...known,
          at: this.#clock.elapsed(),
          fresh: freshOf(answer, DEFAULT_MAX_AGE),
          answer: refresh(known.answer, answer)
        }
        if (isKept) this.#stored.set(request, refreshed)
        return aged(refreshed, 0, isCoap)
      }
      if (isKept && answer.status !== 304) this.#keep(request, answer)
      return answer
    } finally {
      this.#flights.delete(flight)
    }
  }

  /** The resource has changed: what is kept of it is old, and what is under way may be. */
  changed(resource: string): void {
    this.#stored.drop(resource)
    for (const flight of this.#flights) if (flight.resource === resource) flight.old = true
  }

  #keep(request: CachedRequest, answer: ForwardedAnswer): void {
    const { status, body } = answer
    const fresh = freshOf(answer, status === 200 ? DEFAULT_MAX_AGE : 0)
    const etag = headerOf(answer, 'etag')
    const isWhole = body === null || body instanceof Uint8Array
    const isLasting = status === 200 ? fresh > 0 || etag !== undefined : KEPT_ERRORS.has(status) && fresh > 0
    if (isWhole && isLasting) this.#stored.set(request, { answer, etag, at: this.#clock.elapsed(), fresh })
    // What is kept has been replaced by one that cannot be.
    else if (status < 500) this.#stored.remove(request.key)
  }
}

const headerOf = ({ headers }: ForwardedAnswer, name: string): string | undefined => headers.find(([other]) => other === name)?.[1]

const freshOf = (answer: ForwardedAnswer, usual: number): number => {
  const control = headerOf(answer, 'cache-control')
  if (control === undefined) return usual * 1000
  return Number(/max-age=(\d{1,10})/.exec(control)?.[1] ?? 0) * 1000
}

const refresh = (kept: ForwardedAnswer, valid: ForwardedAnswer): ForwardedAnswer => ({
  ...kept,
  headers: withHeader(kept.headers, 'cache-control', headerOf(valid, 'cache-control') ?? `max-age=${DEFAULT_MAX_AGE}`)
})

const withHeader = (headers: ForwardedAnswer['headers'], name: string, value: string): ForwardedAnswer['headers'] => [
  ...headers.filter(([other]) => other !== name),
  [name, value]
]

/** What is kept, with its age: HTTP has Age for that (RFC 9111 section 5.1), CoAP the Max-Age that is left (RFC 7252 section 5.7.1). */
const aged = ({ answer, fresh }: StoredAnswer, age: number, isCoap: boolean): ForwardedAnswer => {
  const headers = isCoap
    ? withHeader(answer.headers, 'cache-control', `max-age=${Math.max(0, Math.floor((fresh - age) / 1000))}`)
    : withHeader(answer.headers, 'age', String(Math.floor(age / 1000)))
  return { ...answer, headers }
}
