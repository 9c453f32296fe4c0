import type { Context } from '@iopa/appbuilder'
import { optionError } from '@iopa/appbuilder/extension'
import { sharedError } from '@iopa/transport/host'
import { type CryptoKey, createLocalJWKSet, errors, type FlattenedJWSInput, type JSONWebKeySet, type JWSHeaderParameters } from 'jose'

/** Finds the key of a token. */
export type KeyFinder = (header: JWSHeaderParameters, token: FlattenedJWSInput, context: Context) => Promise<CryptoKey>

/** Milliseconds after which keys are fetched again. */
const STALE_AFTER = 600_000
/** Milliseconds for which keys are used while they cannot be fetched again. */
const USABLE_FOR = 86_400_000
/** Milliseconds between two fetches, however many tokens name an unknown key, and also where a fetch failed. */
const COOLDOWN = 30_000
/** Milliseconds for one fetch. */
const TIMEOUT = 5000
const MOST_BYTES = 262_144
const MOST_KEYS = 100

const UNAVAILABLE = sharedError(503, 'keys-unavailable', 'The keys of the issuer cannot be fetched: try again later.', { 'retry-after': '30' })

const LOOPBACK: ReadonlySet<string> = new Set(['localhost', '127.0.0.1', '[::1]'])

/** The public keys of an issuer, fetched from its URL when a token needs them. The time is that of requests, on the clock of their app. */
export class RemoteKeys {
  readonly #url: URL
  #find: ReturnType<typeof createLocalJWKSet> | null = null
  #fetchedAt = Number.NEGATIVE_INFINITY
  #triedAt = Number.NEGATIVE_INFINITY
  #fetching: Promise<void> | null = null
  #text = ''
  /** Grows when other keys were fetched. */
  version = 0

  constructor(url: string | URL) {
    if (!URL.canParse(String(url))) throw optionError('The option jwks of jwt must be a URL or a set of keys.')
    this.#url = new URL(url)
    const { protocol, hostname } = this.#url
    if (protocol !== 'https:' && !(protocol === 'http:' && LOOPBACK.has(hostname)))
      throw optionError(`The keys at ${this.#url} must be fetched by https: anyone on the way could replace them.`)
  }

  /** True where a fetch is due and allowed. */
  isDue(now: number): boolean {
    return isOver(now, this.#fetchedAt, STALE_AFTER) && isOver(now, this.#triedAt, COOLDOWN)
  }

  async find(header: JWSHeaderParameters, token: FlattenedJWSInput, context: Context): Promise<CryptoKey> {
    const now = context['server.Timestamp']
    if (this.#find === null || isOver(now, this.#fetchedAt, USABLE_FOR)) {
      await this.#fetch(context)
      if (this.#find === null || isOver(now, this.#fetchedAt, USABLE_FOR)) throw UNAVAILABLE
    } else if (this.isDue(now)) void this.#fetch(context)
    try {
      return await this.#find(header, token)
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
      const before = this.version
      // The issuer may have a new key.
      await this.#fetch(context)
      if (this.version === before) throw error
      return this.#find(header, token)
    }
  }

  /** Fetches once for all who ask meanwhile; it does nothing during the cooldown, and never rejects. */
  #fetch(context: Context): Promise<void> {
    const now = context['server.Timestamp']
    if (this.#fetching !== null) return this.#fetching
    if (!isOver(now, this.#triedAt, COOLDOWN)) return Promise.resolve()
    this.#triedAt = now
    this.#fetching = this.#load()
      .then(text => this.#take(text, now))
      .catch((error: unknown) => context['server.Logger'].warn(`iopa: the keys at ${this.#url} could not be fetched`, error))
      .finally(() => {
        this.#fetching = null
      })
    return this.#fetching
  }

  #take(text: string, now: number): void {
    if (text !== this.#text) {
      this.#find = createLocalJWKSet(JSON.parse(text) as JSONWebKeySet)
      this.#text = text
      this.version++
    }
    this.#fetchedAt = now
  }

  async #load(): Promise<string> {
    // A redirect could lead anywhere.
    const response = await fetch(this.#url, {
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT),
      headers: { accept: 'application/jwk-set+json, application/json' }
    })
    if (response.status !== 200 || response.body === null) throw new Error(`status ${response.status}`)
    const decoder = new TextDecoder()
    let text = ''
    let bytes = 0
    for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
      bytes += chunk.length
      if (bytes > MOST_BYTES) throw new Error(`more than ${MOST_BYTES} bytes`)
      text += decoder.decode(chunk, { stream: true })
    }
    const set = JSON.parse(text) as { keys?: unknown } | null
    if (!Array.isArray(set?.keys) || set.keys.length > MOST_KEYS) throw new Error(`not a set of at most ${MOST_KEYS} keys`)
    return text
  }
}

/** A clock that was set back does not keep keys for ever. */
const isOver = (now: number, since: number, time: number): boolean => now < since || now - since >= time
