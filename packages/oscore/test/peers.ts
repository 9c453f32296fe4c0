import { type NumberStore, type OpenNumberStore, type OscoreContextOptions, oscore } from '@iopa/oscore'
import { type VirtualClock, virtualClock } from '@iopa/testing'
import {
  type ActiveProtection,
  DEFAULT_LIMITS,
  type MessageOption,
  type OpenedRequest,
  type PlainMessage,
  type ProtectedRequest,
  type RefusedRequest
} from '@iopa/transport'
import { hex } from './bytes.ts'

export const SOURCE = { address: '192.0.2.1', port: 5683, verified: true }
export const SERVER_URL: URL = new URL('coap://sensor.example')
export const NO_BYTES: Uint8Array = new Uint8Array(0)

export const KEYS: Pick<OscoreContextOptions, 'masterSecret' | 'masterSalt'> = {
  masterSecret: hex('0102030405060708090a0b0c0d0e0f10'),
  masterSalt: hex('9e7ca92223786340')
}
export const CLIENT: OscoreContextOptions = { ...KEYS, id: 'server', senderId: hex('01'), recipientId: hex('02'), servers: [SERVER_URL.href] }
export const SERVER: OscoreContextOptions = { ...KEYS, id: 'client', senderId: hex('02'), recipientId: hex('01') }

/** A store that lives as long as the test: what `claim` gave is not given again. */
export class MemoryStore implements NumberStore {
  last = 0
  opened = 0
  readonly #since: number
  constructor(since = 0) {
    this.#since = since
  }
  async open(): Promise<OpenNumberStore> {
    this.opened++
    return {
      since: this.#since,
      claim: async least => (this.last = Math.max(least, this.last + 1)),
      close: async () => {
        this.opened--
      }
    }
  }
}

export const startPeer = (options: Parameters<typeof oscore>[0], clock: VirtualClock = virtualClock()): Promise<ActiveProtection> =>
  oscore(options).start({ clock, limits: DEFAULT_LIMITS, logger: SILENT })

export const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined } as never

export const GET = (path: string, options: readonly MessageOption[] = []): PlainMessage => ({
  code: 0x01,
  options: [...options, [11, Buffer.from(path)] as MessageOption].sort(([one], [other]) => one - other),
  payload: NO_BYTES
})
export const CONTENT = (payload: string, options: readonly MessageOption[] = []): PlainMessage => ({
  code: 0x45,
  options,
  payload: Buffer.from(payload)
})

export const isOpened = (opening: OpenedRequest | RefusedRequest | undefined): opening is OpenedRequest =>
  opening !== undefined && 'message' in opening
export const open = async (server: ActiveProtection, message: PlainMessage): Promise<OpenedRequest | RefusedRequest> => {
  const opening = await server.open(message, SOURCE)
  if (opening === undefined) throw new Error('the message is not protected')
  return opening
}
export const mustOpen = async (server: ActiveProtection, message: PlainMessage): Promise<OpenedRequest> => {
  const opening = await open(server, message)
  if (!isOpened(opening)) throw new Error(`refused: ${opening.code}`)
  return opening
}

export const protect = async (client: ActiveProtection, message: PlainMessage): Promise<ProtectedRequest> =>
  (await client.requests(SERVER_URL)!.protect(message)) as ProtectedRequest

/** The answer to a request, through at most three refusals that ask for it again; `respond` is the server's handler. */
export const exchange = async (
  client: ActiveProtection,
  server: ActiveProtection,
  request: PlainMessage,
  respond: (opened: OpenedRequest) => PlainMessage = () => CONTENT('hello')
): Promise<{ answer: PlainMessage; sent: readonly PlainMessage[]; received: readonly PlainMessage[] }> => {
  const sent: PlainMessage[] = []
  const received: PlainMessage[] = []
  let message = request
  for (let attempt = 0; attempt < 4; attempt++) {
    const guarded = await protect(client, message)
    sent.push(guarded.message)
    const opening = await open(server, guarded.message)
    const response = isOpened(opening) ? await opening.protect(respond(opening), 'response') : opening.refusal
    received.push(response)
    const answer = await guarded.open(response)
    if (answer === undefined) throw new Error('the answer was dropped')
    const echo = answer.code === 0x81 ? answer.options.find(([number]) => number === 252) : undefined
    if (echo === undefined) return { answer, sent, received }
    message = { ...request, options: [...request.options.filter(([number]) => number !== 252), echo].sort(([one], [other]) => one - other) }
  }
  throw new Error('asked again and again')
}

/** The same message with plain byte arrays, for comparison. */
export const plain = ({ code, options, payload }: PlainMessage): PlainMessage => ({
  code,
  options: options.map(([number, value]): MessageOption => [number, new Uint8Array(value)]),
  payload: new Uint8Array(payload)
})
