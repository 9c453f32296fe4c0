import { checkOptions, DEFAULT_PORTS, optionError } from '@iopa/transport'
import { ALGORITHMS, type OscoreAlgorithm } from './crypto/algorithms.ts'
import { type KeyInput, keyFingerprint } from './crypto/key-derivation.ts'
import { MOST_PARTIAL_IV } from './crypto/nonce.ts'
import type { NumberStore } from './store/number-store.ts'

/** One security context (RFC 8613 section 3), as both peers have agreed on it. */
export interface OscoreContextOptions {
  /** The id of the user that the other peer is. */
  readonly id: string
  /** Where that user belongs to, as `realm` of `server.User`. */
  readonly realm?: string
  /** At least 16 random bytes. No other pair of peers may have the same. */
  readonly masterSecret: Uint8Array
  readonly masterSalt?: Uint8Array
  /** Our id, 0 to 7 bytes (0 to 6 for A128GCM). */
  readonly senderId: Uint8Array
  /** The id of the other peer, which must be another one. */
  readonly recipientId: Uint8Array
  /** Tells contexts with the same ids apart; at most 128 bytes. */
  readonly idContext?: Uint8Array
  /** AES-CCM-16-64-128 unless given. */
  readonly algorithm?: OscoreAlgorithm
  /**
   * When keys are derived, which both peers have to do in the same way. `once`: from the values above alone (RFC 8613 appendix B.1), which needs a
   * `store`. `each-start`: with random values of both peers whenever one of them has started (appendix B.2). `once` if there is a store, else `each-start`.
   */
  readonly derive?: 'once' | 'each-start'
  /** The URLs of the servers that a client reaches the peer at, such as `coap://sensor-1.local`. Host and port are compared. */
  readonly servers?: readonly string[]
}

/** Options of `oscore()`. */
export interface OscoreOptions {
  readonly contexts: readonly OscoreContextOptions[]
  /** Refuses requests that are not protected: all, or those for whose path it is true. */
  readonly require?: boolean | ((path: string) => boolean)
  /** Keeps sequence numbers unique over restarts: `fileStore()` of `@iopa/oscore/node`. */
  readonly store?: NumberStore
}

const OPTIONS = { contexts: true, require: true, store: true } as const satisfies Record<keyof OscoreOptions, true>
const CONTEXT_OPTIONS = {
  id: 'text',
  realm: 'text',
  masterSecret: true,
  masterSalt: true,
  senderId: true,
  recipientId: true,
  idContext: true,
  algorithm: true,
  derive: true,
  servers: 'texts'
} as const satisfies Record<keyof OscoreContextOptions, true | 'text' | 'texts'>

const LEAST_SECRET = 16
const MOST_ID_CONTEXT = 128

/** A context as it is used. */
export interface CheckedContext {
  readonly id: string
  readonly realm: string | undefined
  readonly keys: KeyInput
  readonly derive: 'once' | 'each-start'
  /** `host:port` of its servers. */
  readonly servers: readonly string[]
}

/** Checks the options, and copies the keys. @throws IopaError 500 `bad-option` */
export const checkOscoreOptions = (options: OscoreOptions, caller: unknown): readonly CheckedContext[] => {
  checkOptions('oscore()', options, OPTIONS, caller)
  const { contexts, require, store } = options
  if (!Array.isArray(contexts) || contexts.length === 0) throw optionError('oscore() needs contexts: a list of at least one security context.')
  if (require !== undefined && typeof require !== 'boolean' && typeof require !== 'function')
    throw optionError('oscore() needs for require true, false, or a function of the path.')
  if (store !== undefined && typeof store?.open !== 'function') throw optionError('oscore() needs for store what fileStore() returns.')
  const checked = contexts.map(context => checkContext(context, store !== undefined, caller))
  unique(
    checked.map(({ keys }) => keyFingerprint(keys, keys.senderId)),
    'have the same keys: give one of them another senderId or masterSecret'
  )
  unique(
    checked.flatMap(({ servers }) => servers),
    'are for the same server: requests to it can have one context'
  )
  return checked
}

const unique = (values: readonly string[], problem: string): void => {
  if (new Set(values).size < values.length) throw optionError(`Two contexts of oscore() ${problem}.`)
}

const checkContext = (context: OscoreContextOptions, stored: boolean, caller: unknown): CheckedContext => {
  checkOptions('A context of oscore()', context, CONTEXT_OPTIONS, caller)
  const { id, realm, algorithm: name = 'AES-CCM-16-64-128', servers = [] } = context
  const { derive = stored ? 'once' : 'each-start' } = context
  if (typeof id !== 'string' || id === '') throw optionError('A context of oscore() needs an id: the id of the user that the other peer is.')
  const wrong = (detail: string): Error => optionError(`Context '${id}' of oscore() ${detail}.`)
  if (!Object.hasOwn(ALGORITHMS, name)) throw wrong(`needs for algorithm one of ${Object.keys(ALGORITHMS).join(', ')}`)
  if (derive !== 'once' && derive !== 'each-start') throw wrong("needs for derive 'once' or 'each-start'")
  if (derive === 'once' && !stored)
    throw wrong(
      "derives its keys once, so it needs a store: without one a restart would use nonces a second time. Give oscore() a store, or derive: 'each-start'"
    )
  const algorithm = ALGORITHMS[name]
  const bytes = (option: 'masterSecret' | 'masterSalt' | 'senderId' | 'recipientId' | 'idContext', least: number, most: number): Uint8Array => {
    const value = context[option] ?? new Uint8Array(0)
    if (
      !(value instanceof Uint8Array) ||
      value.length < least ||
      value.length > most ||
      (context[option] === undefined && /secret|Id$/i.test(option))
    )
      throw wrong(`needs for ${option} a Uint8Array of ${least} to ${most} bytes`)
    return new Uint8Array(value)
  }
  const mostId = algorithm.nonceLength - MOST_PARTIAL_IV - 1
  const senderId = bytes('senderId', 0, mostId)
  const recipientId = bytes('recipientId', 0, mostId)
  if (Buffer.compare(senderId, recipientId) === 0) throw wrong('needs two different ids: senderId and recipientId are the same')
  const masterSecret = bytes('masterSecret', LEAST_SECRET, 1024)
  const idContext = bytes('idContext', 0, MOST_ID_CONTEXT)
  return {
    id,
    realm,
    derive,
    keys: {
      algorithm,
      masterSecret,
      masterSalt: bytes('masterSalt', 0, 1024),
      senderId,
      recipientId,
      idContext: context.idContext === undefined ? undefined : idContext
    },
    servers: servers.map(server => serverOf(server, wrong))
  }
}

const serverOf = (server: string, wrong: (detail: string) => Error): string => {
  const url = URL.canParse(server) ? new URL(server) : undefined
  if (url === undefined || url.hostname === '') throw wrong(`needs for servers URLs such as coap://sensor-1.local, not '${server}'`)
  return hostAndPort(url)
}

/** Host and port of a server, with the default port of its scheme. */
export const hostAndPort = ({ hostname, port, protocol }: URL): string =>
  `${hostname.toLowerCase()}:${port === '' ? (DEFAULT_PORTS[protocol.slice(0, -1)] ?? 0) : port}`
