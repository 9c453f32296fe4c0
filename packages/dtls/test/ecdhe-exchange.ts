import { expect } from 'vitest'
import { ALERT, HandshakeFailure } from '../src/alerts.ts'
import { type Credentials, credentialsOf } from '../src/certificates/credentials.ts'
import type { ClientHello, ServerHello } from '../src/handshake/hello.ts'
import { MESSAGE } from '../src/handshake/message.ts'
import { Transcript } from '../src/handshake/transcript.ts'
import { ecdheEcdsa } from '../src/key-exchange/ecdhe-ecdsa.ts'
import type { ProvenIdentity } from '../src/key-exchange/key-exchange.ts'
import type { DtlsOptions } from '../src/options.ts'
import { CIPHER_SUITES } from '../src/suites/cipher-suites.ts'
import { NOW } from './certificate-authority.ts'

/** Bodies of messages on their way; a test changes them. */
export interface Wire {
  readonly change?: Readonly<Partial<Record<keyof typeof MESSAGE, (body: Uint8Array) => Uint8Array>>>
  readonly hello?: (extensions: Map<number, Uint8Array>) => void
  readonly answer?: (extensions: Map<number, Uint8Array>) => void
  readonly now?: number
}

/** What both sides have in the end. */
export interface Outcome {
  readonly server: ProvenIdentity
  readonly client: ProvenIdentity
  readonly premasters: readonly Uint8Array[]
}

const known = new WeakMap<DtlsOptions, Credentials>()

const read = (options: DtlsOptions): Credentials => {
  const credentials = known.get(options) ?? credentialsOf(options)
  known.set(options, credentials)
  return credentials
}

/** Walks both roles through their messages, as the machine does. */
export async function exchange(
  serverOptions: DtlsOptions,
  clientOptions: DtlsOptions,
  { change = {}, hello, answer, now = NOW }: Wire = {}
): Promise<Outcome> {
  const clock = { now: () => now }
  const target = { host: 'lamp.example', address: '127.0.0.1', port: 5684 }
  const clientSide = ecdheEcdsa(read(clientOptions), clock, true)
  const serverSide = ecdheEcdsa(read(serverOptions), clock, false)
  const extensions = new Map(clientSide.clientExtensions?.(target))
  hello?.(extensions)
  const { signal } = new AbortController()
  const suite = CIPHER_SUITES[0]!
  const [clientRandom, serverRandom] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)]
  const clientHello: ClientHello = {
    version: 0xfefd,
    random: clientRandom,
    sessionId: Buffer.alloc(0),
    cookie: Buffer.alloc(0),
    suites: [suite.id],
    compressions: Uint8Array.of(0),
    extensions
  }
  const server = serverSide.server?.({ suite, hello: clientHello, serverRandom, peer: target, signal })
  if (server === undefined) throw new HandshakeFailure(ALERT.HANDSHAKE_FAILURE, 'no room')
  const answered = new Map(server.extensions)
  answer?.(answered)
  const serverHello: ServerHello = { version: 0xfefd, random: serverRandom, sessionId: Buffer.alloc(0), suite: suite.id, extensions: answered }
  const client = clientSide.client!({ suite, hello: serverHello, clientRandom, target, signal })
  const transcripts = [new Transcript(), new Transcript()] as const
  let sequence = 0
  const over = (name: keyof typeof MESSAGE, body: Uint8Array): Uint8Array => {
    const changed = change[name]?.(body) ?? body
    const from = name.startsWith('CLIENT') || name === 'CERTIFICATE_VERIFY' ? 1 : 0
    transcripts[from].add(MESSAGE[name], sequence, body)
    transcripts[1 - from]!.add(MESSAGE[name], sequence++, changed)
    return changed
  }
  for (const { type, body } of await server.messages()) {
    if (type === MESSAGE.CERTIFICATE) await client.serverCertificate?.(over('CERTIFICATE', body))
    else if (type === MESSAGE.SERVER_KEY_EXCHANGE) await client.serverKeyExchange(over('SERVER_KEY_EXCHANGE', body))
    else await client.certificateRequest?.(over('CERTIFICATE_REQUEST', body))
  }
  const last = await client.answer()
  if (last.certificate !== undefined) await server.certificate?.(over('CERTIFICATE', last.certificate))
  const before = server.identity()
  expect(before).toEqual({ user: undefined })
  const premaster = await server.clientKeyExchange(over('CLIENT_KEY_EXCHANGE', last.clientKeyExchange))
  if (last.certificateVerify !== undefined) {
    const body = await last.certificateVerify(transcripts[1])
    await server.certificateVerify?.(change.CERTIFICATE_VERIFY?.(body) ?? body, transcripts[1])
  }
  return { server: server.identity(), client: client.identity(), premasters: [premaster, last.premaster] }
}

/** The alert that it ends with; undefined where it does not fail. Anything but a HandshakeFailure is thrown. */
export const alertOf = async (run: Promise<unknown>): Promise<number | undefined> =>
  run.then(
    () => undefined,
    error => {
      if (error instanceof HandshakeFailure) return error.alert
      throw error
    }
  )
