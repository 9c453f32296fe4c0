import { createHmac, randomUUID } from 'node:crypto'
import {
  type ActiveProtection,
  IopaError,
  type MessageOption,
  type MessageProtection,
  type OpenedRequest,
  type PlainMessage,
  type ProtectedRequest,
  type ProtectionEnvironment,
  type RefusedRequest
} from '@iopa/transport'
import { CODE } from '../src/codec/codes.ts'
import { OPTION } from '../src/codec/option-registry.ts'

/** The number of the option of OSCORE: critical, safe to forward, part of the cache key. */
export const TOY_OPTION = 9

/** Options of the toy. */
export interface ToyOptions {
  /** Users by the byte that names their key. */
  readonly users?: Readonly<Record<number, string>>
  /** The key with which requests of a client are protected, or undefined for those of this server. */
  readonly client?: number
  readonly require?: boolean | ((path: string) => boolean)
  /** Opens and protects later, when what it returns resolves. */
  readonly later?: (what: 'open' | 'protect') => Promise<void>
  /** Fails to protect. */
  readonly exhausted?: () => boolean
}

/** What a test can look at. */
export interface Toy extends MessageProtection {
  /** How often it was started, and closed. */
  readonly life: string[]
  /** Exchanges that were opened, and have not ended. */
  open: number
  /** Messages that were protected: kinds, in order. */
  readonly made: string[]
}

const text = (value: unknown): Buffer => Buffer.from(JSON.stringify(value))

/** Not secure at all: a stream of HMAC, a counter and a tag, in the shape of OSCORE. */
export const toy = (options: ToyOptions = {}): Toy => {
  const value: Toy = {
    name: 'toy',
    option: TOY_OPTION,
    exclusive: options.require === true,
    life: [],
    open: 0,
    made: [],
    async start(environment) {
      value.life.push('start')
      return new ActiveToy(environment, value, options)
    }
  }
  return value
}

const keyOf = (id: number): Buffer => createHmac('sha256', 'toy').update(Uint8Array.of(id)).digest()

const stream = (key: Buffer, nonce: string, bytes: Uint8Array): Buffer => {
  const out = Buffer.from(bytes)
  for (let at = 0; at < out.length; at += 32) {
    const block = createHmac('sha256', key).update(`${nonce} ${at}`).digest()
    for (let i = 0; i < 32 && at + i < out.length; i++) out[at + i]! ^= block[i]!
  }
  return out
}

const seal = (key: Buffer, nonce: string, { code, options, payload }: PlainMessage): Buffer => {
  const head = text([code, options.map(([number, bytes]) => [number, Buffer.from(bytes).toString('base64')])])
  const whole = Buffer.concat([Uint8Array.of(head.length >> 8, head.length & 255), head, payload])
  const sealed = stream(key, nonce, whole)
  return Buffer.concat([sealed, createHmac('sha256', key).update(nonce).update(sealed).digest().subarray(0, 8)])
}

const unseal = (key: Buffer, nonce: string, bytes: Uint8Array): PlainMessage | undefined => {
  if (bytes.length < 10) return undefined
  const sealed = bytes.subarray(0, -8)
  if (!createHmac('sha256', key).update(nonce).update(sealed).digest().subarray(0, 8).equals(bytes.subarray(-8))) return undefined
  const whole = stream(key, nonce, sealed)
  const length = whole.readUInt16BE(0)
  const [code, list] = JSON.parse(whole.subarray(2, 2 + length).toString()) as [number, [number, string][]]
  return {
    code,
    options: list.map(([number, base64]): MessageOption => [number, Buffer.from(base64, 'base64')]),
    payload: whole.subarray(2 + length)
  }
}

const OUTSIDE = new Set<number>([OPTION.URI_HOST, OPTION.URI_PORT])
const has = (message: PlainMessage, number: number): boolean => message.options.some(([other]) => other === number)
const sorted = (options: readonly MessageOption[]): MessageOption[] => [...options].sort(([a], [b]) => a - b)

const refused = (code: number, reason: string): RefusedRequest => ({
  refusal: { code, options: [[OPTION.MAX_AGE, new Uint8Array(0)]], payload: Buffer.from(reason) },
  code: reason.toLowerCase().replaceAll(' ', '-')
})

class ActiveToy implements ActiveProtection {
  readonly #toy: Toy
  readonly #options: ToyOptions
  readonly #associations = new Map<number, { readonly id: string; readonly seen: Set<number> }>()
  readonly #revoked = new Set<string>()
  readonly #requests: { protect(request: PlainMessage): ProtectedRequest | Promise<ProtectedRequest> }
  #counter = 0

  constructor(_environment: ProtectionEnvironment, toy: Toy, options: ToyOptions) {
    this.#toy = toy
    this.#options = options
    this.#requests = { protect: request => this.#protect(request) }
  }

  open(request: PlainMessage): OpenedRequest | RefusedRequest | undefined | Promise<OpenedRequest | RefusedRequest> {
    const value = request.options.find(([number]) => number === TOY_OPTION)?.[1]
    if (value === undefined) return undefined
    const { later } = this.#options
    return later === undefined ? this.#open(request, value) : later('open').then(() => this.#open(request, value))
  }

  requires(path: string): boolean {
    const { require = false } = this.#options
    return typeof require === 'boolean' ? require : require(path)
  }

  requests() {
    return this.#options.client === undefined ? undefined : this.#requests
  }

  revoke(matches: (user: { id: string }) => boolean): void {
    for (const id of Object.values(this.#options.users ?? {})) if (matches({ id })) this.#revoked.add(id)
  }

  async close(): Promise<void> {
    this.#toy.life.push('close')
  }

  #open(request: PlainMessage, value: Uint8Array): OpenedRequest | RefusedRequest {
    if (value.length !== 5) return refused(CODE.BAD_OPTION, 'Failed to decode')
    const keyId = value[0]!
    const id = this.#options.users?.[keyId]
    if (id === undefined || this.#revoked.has(id)) return refused(CODE.UNAUTHORIZED, 'Security context not found')
    const key = keyOf(keyId)
    const nonce = Buffer.from(value).toString('hex')
    const counter = Buffer.from(value).readUInt32BE(1)
    let association = this.#associations.get(keyId)
    if (association === undefined) this.#associations.set(keyId, (association = { id: randomUUID(), seen: new Set() }))
    if (association.seen.has(counter)) return refused(CODE.UNAUTHORIZED, 'Replay detected')
    const message = unseal(key, `request ${nonce}`, request.payload)
    if (message === undefined) return refused(CODE.BAD_REQUEST, 'Decryption failed')
    association.seen.add(counter)
    this.#toy.open++
    let used = false
    const protect = (response: PlainMessage, kind: string): PlainMessage => {
      if (this.#options.exhausted?.() === true) throw new IopaError(500, 'exhausted', 'No number is left.')
      if (kind === 'response' && used) throw new Error('The nonce of a request protects one response')
      this.#toy.made.push(kind)
      const observed = has(response, OPTION.OBSERVE)
      const own = kind === 'response' ? new Uint8Array(0) : this.#next(0)
      used ||= kind === 'response'
      const outside: MessageOption[] = [[TOY_OPTION, own], ...response.options.filter(([number]) => number === OPTION.OBSERVE)]
      const payload = seal(key, `response ${nonce} ${Buffer.from(own).toString('hex')}`, response)
      return { code: observed ? CODE.CONTENT : CODE.CHANGED, options: sorted(outside), payload }
    }
    const { later } = this.#options
    return {
      message: { ...message, options: sorted([...message.options, ...request.options.filter(([number]) => OUTSIDE.has(number))]) },
      user: { id, by: 'oscore' },
      association,
      protect: (response, kind) => (later === undefined ? protect(response, kind) : later('protect').then(() => protect(response, kind))),
      end: () => void this.#toy.open--
    }
  }

  #protect(request: PlainMessage): ProtectedRequest | Promise<ProtectedRequest> {
    const { client = 0, later, exhausted } = this.#options
    const make = (): ProtectedRequest => {
      if (exhausted?.() === true) throw new IopaError(500, 'exhausted', 'No number is left.')
      const value = this.#next(client)
      const key = keyOf(client)
      const nonce = Buffer.from(value).toString('hex')
      const observes = has(request, OPTION.OBSERVE)
      const inner = { ...request, options: request.options.filter(([number]) => !OUTSIDE.has(number)) }
      const outside = request.options.filter(([number]) => OUTSIDE.has(number) || number === OPTION.OBSERVE)
      let last = -1
      return {
        message: {
          code: observes ? CODE.FETCH : CODE.POST,
          options: sorted([...outside, [TOY_OPTION, value]]),
          payload: seal(key, `request ${nonce}`, inner)
        },
        open: response => {
          const own = response.options.find(([number]) => number === TOY_OPTION)?.[1]
          if (own === undefined) throw new IopaError(502, 'unprotected-response', 'The response is not protected.')
          const open = (): PlainMessage | undefined => {
            const message = unseal(key, `response ${nonce} ${Buffer.from(own).toString('hex')}`, response.payload)
            if (message === undefined) throw new IopaError(502, 'changed-response', 'The response was changed on its way.')
            if (own.length === 0) return message
            const counter = Buffer.from(own).readUInt32BE(1)
            if (counter <= last) return undefined
            last = counter
            return message
          }
          return later === undefined ? open() : later('open').then(open)
        },
        end: () => undefined
      }
    }
    return later === undefined ? make() : later('protect').then(make)
  }

  #next(id: number): Buffer {
    const value = Buffer.alloc(5)
    value[0] = id
    value.writeUInt32BE(++this.#counter, 1)
    return value
  }
}
