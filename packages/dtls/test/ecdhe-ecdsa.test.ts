import { describe, expect, test } from 'vitest'
import { ALERT } from '../src/alerts.ts'
import { certificateListBytes } from '../src/certificates/certificate-list.ts'
import { credentialsOf } from '../src/certificates/credentials.ts'
import { rawPublicKeyBytes } from '../src/certificates/raw-public-key.ts'
import { publicKeyInfo } from '../src/certificates/signing-keys.ts'
import { EXTENSION } from '../src/handshake/extensions.ts'
import { type DtlsOptions, dtls } from '../src/index.ts'
import { authority, issue, NOW } from './certificate-authority.ts'
import { alertOf, exchange } from './ecdhe-exchange.ts'

const root = authority()
const lamp = issue({ names: ['lamp.example', '127.0.0.1'] }, root)
const sensor = issue({ name: 'sensor' }, root)
const other = issue({ name: 'other' })
const publicPem = ({ publicKey }: typeof lamp): string => publicKey.export({ format: 'pem', type: 'spki' }) as string

const flip =
  (at: number) =>
  (body: Uint8Array): Uint8Array => {
    const changed = Buffer.from(body)
    const index = at < 0 ? body.length + at : at
    changed[index] = changed[index]! ^ 1
    return changed
  }

const SERVER: DtlsOptions = { key: lamp.key, cert: lamp.cert }
const CLIENT: DtlsOptions = { ca: root.cert }
const MUTUAL: DtlsOptions = { ...SERVER, ca: root.cert, requestCert: true }
const SENSOR: DtlsOptions = { ...CLIENT, key: sensor.key, cert: sensor.cert }

describe('A server with a certificate', () => {
  test('agrees on a secret with a client that trusts its authority', async () => {
    const { server, client, premasters } = await exchange(SERVER, CLIENT)
    expect(premasters[0]).toEqual(premasters[1])
    expect(premasters[0]).toHaveLength(32)
    expect(server).toEqual({ user: undefined })
    expect(client.user).toBeUndefined()
    expect(client.clientCertificate?.()).toMatchObject({ subject: { CN: 'device' } })
  })

  test('is refused under another authority, another name, out of its dates', async () => {
    expect(await alertOf(exchange(SERVER, { ca: other.cert }))).toBe(ALERT.UNKNOWN_CA)
    expect(await alertOf(exchange(SERVER, {}))).toBe(ALERT.UNKNOWN_CA)
    expect(await alertOf(exchange(SERVER, { ...CLIENT, serverName: 'door.example' }))).toBe(ALERT.BAD_CERTIFICATE)
    expect(await alertOf(exchange(SERVER, { ...CLIENT, serverName: '127.0.0.1' }))).toBeUndefined()
    expect(await alertOf(exchange(SERVER, CLIENT, { now: NOW + 400 * 86_400_000 }))).toBe(ALERT.CERTIFICATE_EXPIRED)
    const { client } = await exchange(SERVER, { verify: false })
    expect([client.user, client.proof]).toEqual([undefined, undefined])
  })

  test('must have the key of its certificate, even where the certificate is not verified', async () => {
    const thief = { key: other.key, cert: other.cert }
    const change = { CERTIFICATE: () => certificateListBytes([lamp.der]) }
    expect(await alertOf(exchange(thief, CLIENT, { change }))).toBe(ALERT.DECRYPT_ERROR)
    expect(await alertOf(exchange(thief, { verify: false }, { change }))).toBe(ALERT.DECRYPT_ERROR)
  })

  test.each([
    ['its group', flip(2), ALERT.ILLEGAL_PARAMETER],
    ['its point', flip(20), ALERT.DECRYPT_ERROR],
    ['its signature', flip(-1), ALERT.DECRYPT_ERROR],
    ['the scheme of its signature', flip(70), ALERT.ILLEGAL_PARAMETER]
  ])('is refused when the network changes %s', async (_, change, alert) => {
    expect(await alertOf(exchange(SERVER, CLIENT, { change: { SERVER_KEY_EXCHANGE: change } }))).toBe(alert)
  })

  test('refuses a point of the client that is not on the curve', async () => {
    expect(await alertOf(exchange(SERVER, CLIENT, { change: { CLIENT_KEY_EXCHANGE: flip(30) } }))).toBe(ALERT.ILLEGAL_PARAMETER)
  })

  test('leaves no room for clients without its curve, form of points, or signature', async () => {
    const set = (type: number, bytes: readonly number[]) => ({
      hello: (extensions: Map<number, Uint8Array>) => void extensions.set(type, Buffer.from(bytes))
    })
    expect(await alertOf(exchange(SERVER, CLIENT, set(EXTENSION.SUPPORTED_GROUPS, [0, 2, 0, 24])))).toBe(ALERT.HANDSHAKE_FAILURE)
    expect(await alertOf(exchange(SERVER, CLIENT, set(EXTENSION.SUPPORTED_GROUPS, [0, 2, 0, 29])))).toBe(ALERT.HANDSHAKE_FAILURE)
    expect(await alertOf(exchange(SERVER, CLIENT, set(EXTENSION.EC_POINT_FORMATS, [1, 1])))).toBe(ALERT.HANDSHAKE_FAILURE)
    expect(await alertOf(exchange(SERVER, CLIENT, set(EXTENSION.SIGNATURE_ALGORITHMS, [0, 2, 4, 1])))).toBe(ALERT.HANDSHAKE_FAILURE)
    for (const type of [EXTENSION.SUPPORTED_GROUPS, EXTENSION.EC_POINT_FORMATS, EXTENSION.SIGNATURE_ALGORITHMS, EXTENSION.SERVER_CERTIFICATE_TYPE])
      for (const bytes of [[], [1], [0, 0], [0, 3, 0, 23, 0], [9, 9, 9]])
        expect(await alertOf(exchange({ ...SERVER, ...CLIENT }, CLIENT, set(type, bytes)))).not.toBeUndefined()
  })
})

describe('A client with a certificate', () => {
  test('is proven to a server that requests one', async () => {
    const { server } = await exchange(MUTUAL, SENSOR)
    expect(server.user).toBeUndefined()
    expect(server.clientCertificate?.()).toMatchObject({ subject: { CN: 'sensor' } })
  })

  test('is refused without one, under another authority, or with one for servers', async () => {
    expect(await alertOf(exchange(MUTUAL, CLIENT))).toBe(ALERT.HANDSHAKE_FAILURE)
    expect(await alertOf(exchange(MUTUAL, { ...CLIENT, key: other.key, cert: other.cert }))).toBe(ALERT.UNKNOWN_CA)
    const wrong = issue({ purposes: ['server'] }, root)
    expect(await alertOf(exchange(MUTUAL, { ...CLIENT, key: wrong.key, cert: wrong.cert }))).toBe(ALERT.UNSUPPORTED_CERTIFICATE)
  })

  test('is refused with a CertificateVerify that was changed, or made for another handshake', async () => {
    expect(await alertOf(exchange(MUTUAL, SENSOR, { change: { CERTIFICATE_VERIFY: flip(-1) } }))).toBe(ALERT.DECRYPT_ERROR)
    expect(await alertOf(exchange(MUTUAL, SENSOR, { change: { CERTIFICATE_VERIFY: flip(1) } }))).toBe(ALERT.ILLEGAL_PARAMETER)
    let kept: Uint8Array = Buffer.alloc(0)
    await exchange(MUTUAL, SENSOR, { change: { CERTIFICATE_VERIFY: body => (kept = body) } })
    expect(await alertOf(exchange(MUTUAL, SENSOR, { change: { CERTIFICATE_VERIFY: () => kept } }))).toBe(ALERT.DECRYPT_ERROR)
  })

  test('shows it to nobody who has not asked', async () => {
    const { server } = await exchange(SERVER, SENSOR)
    expect(server).toEqual({ user: undefined })
  })
})

describe('Raw public keys', () => {
  const server: DtlsOptions = { key: lamp.key, rawPublicKeys: { 'sensor-1': publicPem(sensor) }, realm: 'house' }
  const client: DtlsOptions = { key: sensor.key, rawPublicKeys: { lamp: publicPem(lamp) } }

  test('prove both sides to each other', async () => {
    const outcome = await exchange(server, client)
    expect(outcome.server).toEqual({ user: { id: 'sensor-1', by: 'rpk', realm: 'house' }, proof: 'rpk' })
    expect(outcome.client).toEqual({ user: { id: 'lamp', by: 'rpk' }, proof: 'rpk' })
  })

  test('are refused when they are not in the table', async () => {
    expect(await alertOf(exchange(server, { ...client, key: other.key }))).toBe(ALERT.CERTIFICATE_UNKNOWN)
    expect(await alertOf(exchange(server, { ...client, rawPublicKeys: { lamp: publicPem(other) } }))).toBe(ALERT.CERTIFICATE_UNKNOWN)
    const { client: unverified } = await exchange(server, { ...client, rawPublicKeys: { lamp: publicPem(other) }, verify: false })
    expect(unverified).toEqual({ user: undefined })
  })

  test('are never the key of a certificate', async () => {
    // The certificate of a device has a key that is in the table of raw keys; nothing says that its authority may name this user.
    const mixed: DtlsOptions = { ...MUTUAL, rawPublicKeys: { 'sensor-1': publicPem(sensor) } }
    const outcome = await exchange(mixed, SENSOR)
    expect(outcome.server.user).toBeUndefined()
    expect(outcome.server.clientCertificate).toBeDefined()
    expect(await alertOf(exchange({ ...SERVER, rawPublicKeys: { 'sensor-1': publicPem(sensor) } }, SENSOR))).toBe(ALERT.HANDSHAKE_FAILURE)
  })

  test('are used beside certificates: each side in its own way', async () => {
    const outcome = await exchange({ ...server, cert: lamp.cert }, { ...CLIENT, key: sensor.key })
    expect(outcome.server.user).toMatchObject({ id: 'sensor-1', by: 'rpk' })
    expect(outcome.client.clientCertificate?.()).toMatchObject({ subject: { CN: 'device' } })
    const reverse = await exchange({ ...MUTUAL }, { key: sensor.key, cert: sensor.cert, rawPublicKeys: { lamp: publicPem(lamp) } })
    expect(reverse.server.clientCertificate?.()).toMatchObject({ subject: { CN: 'sensor' } })
    expect(reverse.client.user).toEqual({ id: 'lamp', by: 'rpk' })
  })

  test('are refused where the server takes back what it was offered', async () => {
    const downgrade = (extensions: Map<number, Uint8Array>): void => void extensions.delete(EXTENSION.SERVER_CERTIFICATE_TYPE)
    expect(await alertOf(exchange(server, client, { answer: downgrade }))).toBe(ALERT.UNSUPPORTED_CERTIFICATE)
    const odd = (extensions: Map<number, Uint8Array>): void => void extensions.set(EXTENSION.SERVER_CERTIFICATE_TYPE, Buffer.from([2, 2]))
    expect(await alertOf(exchange(server, client, { answer: odd }))).toBe(ALERT.UNSUPPORTED_CERTIFICATE)
  })

  test('need the private key: a signature by another one is refused', async () => {
    let count = 0
    // The second Certificate is the client's.
    const change = { CERTIFICATE: (body: Uint8Array) => (++count === 2 ? rawPublicKeyBytes(publicKeyInfo(sensor.publicKey)) : body) }
    expect(await alertOf(exchange(server, { ...client, key: other.key }, { change }))).toBe(ALERT.DECRYPT_ERROR)
  })
})

describe('The options for certificates', () => {
  test.each<[string, DtlsOptions, string]>([
    ['a certificate without key', { cert: lamp.cert }, 'has cert but no key'],
    ['a key of another certificate', { cert: lamp.cert, key: sensor.key }, 'is not the key'],
    ['a key that is none', { key: 'x' }, 'cannot be read'],
    ['a certificate that is none', { key: lamp.key, cert: 'x' }, 'no certificate in it'],
    ['authorities that are none', { ca: '' }, 'no certificate in it'],
    ['requestCert without ca', { ...SERVER, requestCert: true }, 'needs ca'],
    ['two users with one key', { rawPublicKeys: { a: publicPem(lamp), b: publicPem(lamp) } }, 'same key'],
    ['no raw key', { rawPublicKeys: {} }, 'add one'],
    ['a raw key that is none', { rawPublicKeys: { a: Buffer.from('x') } }, 'cannot be read']
  ])('refuse %s', (_, options, sentence) => {
    expect(() => credentialsOf(options)).toThrow(sentence)
  })

  test.each<[string, DtlsOptions, boolean]>([
    ['pre-shared keys', { psk: { sensor: Buffer.alloc(16, 1) } }, true],
    ['a certificate of the server alone', SERVER, false],
    ['a certificate of the server beside pre-shared keys', { ...SERVER, psk: { sensor: Buffer.alloc(16, 1) } }, false],
    ['certificates of both sides', MUTUAL, true],
    ['raw public keys', { key: lamp.key, rawPublicKeys: { sensor: publicPem(sensor) } }, true]
  ])('say whether every client must prove who it is: %s', (_, options, exclusive) => {
    expect(dtls(options).exclusive).toBe(exclusive)
  })

  test('take DER and several authorities', () => {
    const { own, authorities } = credentialsOf({ cert: lamp.der, key: lamp.key, ca: [root.der, `${root.cert}\n${other.cert}`] })
    expect(own?.chain).toHaveLength(1)
    expect(authorities).toHaveLength(3)
  })
})
