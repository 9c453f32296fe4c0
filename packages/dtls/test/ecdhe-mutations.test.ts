import { describe, expect, test } from 'vitest'
import type { DtlsOptions } from '../src/options.ts'
import { authority, issue } from './certificate-authority.ts'
import { alertOf, exchange, type Outcome, type Wire } from './ecdhe-exchange.ts'

// Each mutation is a whole exchange of half a dozen operations on curves: IOPA_MUTATIONS sets how many there are.
const MUTATIONS = Math.max(60, Number(process.env['IOPA_MUTATIONS'] ?? 0) / 100)

const root = authority()
const middle = authority('middle', {}, root)
const lamp = issue({ names: ['lamp.example'] }, middle)
const sensor = issue({ name: 'sensor' }, root)
const publicPem = ({ publicKey }: typeof lamp): string => publicKey.export({ format: 'pem', type: 'spki' }) as string

const CERTIFICATES: readonly [DtlsOptions, DtlsOptions] = [
  { key: lamp.key, cert: `${lamp.cert}\n${middle.cert}`, ca: root.cert, requestCert: true },
  { key: sensor.key, cert: sensor.cert, ca: root.cert }
]
const RAW_KEYS: readonly [DtlsOptions, DtlsOptions] = [
  { key: lamp.key, rawPublicKeys: { sensor: publicPem(sensor) } },
  { key: sensor.key, rawPublicKeys: { lamp: publicPem(lamp) } }
]

/** Numbers that are the same in each run. */
const numbers = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const mutate = (body: Uint8Array, next: (below: number) => number): Uint8Array => {
  const at = next(body.length)
  const changed = Buffer.from(body)
  switch (next(5)) {
    case 0:
      changed[at] = changed[at]! ^ (1 << next(8))
      return changed
    case 1:
      return changed.subarray(0, at)
    case 2:
      return Buffer.concat([changed.subarray(0, at), Buffer.alloc(1 + next(40), next(256)), changed.subarray(at)])
    case 3:
      return Buffer.concat([changed.subarray(0, at), changed.subarray(at + 1 + next(8))])
    default:
      // Lengths are in the first bytes.
      changed[next(Math.min(8, body.length))] = next(256)
      return changed
  }
}

const MESSAGES = ['CERTIFICATE', 'SERVER_KEY_EXCHANGE', 'CERTIFICATE_REQUEST', 'CLIENT_KEY_EXCHANGE', 'CERTIFICATE_VERIFY'] as const

describe.each([
  ['certificates', CERTIFICATES],
  ['raw public keys', RAW_KEYS]
] as const)('Mutations of a handshake with %s', (_, [server, client]) => {
  test('end in an alert, or leave both sides as they are', async () => {
    const next = numbers(Number(process.env['IOPA_SEED'] ?? 7))
    const same = await exchange(server, client)
    let refused = 0
    for (let index = 0; index < MUTATIONS; index++) {
      const name = MESSAGES[index % MESSAGES.length]!
      // The second Certificate is the client's.
      let skip = name === 'CERTIFICATE' ? next(2) : 0
      const change: Wire['change'] = { [name]: (body: Uint8Array) => (skip-- === 0 ? mutate(body, next) : body) }
      let outcome: Outcome | undefined
      const alert = await alertOf(exchange(server, client, { change }).then(result => (outcome = result)))
      if (alert !== undefined) refused++
      // What the Finished messages would reject is not an identity of another.
      else {
        expect(outcome?.client.user).toEqual(same.client.user)
        expect(outcome?.server.user).toEqual(same.server.user)
        expect(outcome?.server.clientCertificate?.()).toEqual(same.server.clientCertificate?.())
      }
    }
    expect(refused).toBeGreaterThan(MUTATIONS * 0.7)
  })
})
