import { virtualClock } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { ALERT } from '../src/alerts.ts'
import type { DtlsOptions } from '../src/options.ts'
import { authority, issue, NOW } from './certificate-authority.ts'
import { alertOf, established, type Meeting, meet } from './handshake-pair.ts'

const root = authority()
const middle = authority('middle', {}, root)
const lamp = issue({ names: ['lamp.example'] }, middle)
const sensor = issue({ name: 'sensor' }, root)
const publicPem = ({ publicKey }: typeof lamp): string => publicKey.export({ format: 'pem', type: 'spki' }) as string

const SERVER: DtlsOptions = { key: lamp.key, cert: `${lamp.cert}\n${middle.cert}` }
const MUTUAL: DtlsOptions = { ...SERVER, ca: root.cert, requestCert: true }
const CLIENT: DtlsOptions = { ca: root.cert }
const SENSOR: DtlsOptions = { ...CLIENT, key: sensor.key, cert: sensor.cert }
const PSK: DtlsOptions = { psk: { 'sensor-1': Buffer.alloc(16, 1) } }
const RPK: DtlsOptions = { key: lamp.key, rawPublicKeys: { 'sensor-1': publicPem(sensor) } }
const RAW_SENSOR: DtlsOptions = { key: sensor.key, rawPublicKeys: { lamp: publicPem(lamp) } }

const at = (start = NOW): Meeting => ({ clock: virtualClock({ start }) })
const suiteOf = (met: Awaited<ReturnType<typeof meet>>) => established(met.client).records.sealer?.keys.cipher.aead

describe('A handshake', () => {
  test('with certificates proves both sides', async () => {
    const { server, client } = await meet(MUTUAL, SENSOR, at())
    expect(established(server).identity.clientCertificate?.()).toMatchObject({ subject: { CN: 'sensor' } })
    expect(established(server).identity.user).toBeUndefined()
    expect(established(client).identity.clientCertificate?.()).toMatchObject({ subject: { CN: 'device' } })
  })

  test('with a certificate of the server alone proves the server', async () => {
    const { server, client } = await meet(SERVER, SENSOR, at())
    expect(established(server).identity).toEqual({ user: undefined })
    expect(established(client).identity.clientCertificate).toBeDefined()
  })

  test('with raw public keys proves both sides', async () => {
    const { server, client } = await meet(RPK, RAW_SENSOR, at())
    expect(established(server).identity.user).toEqual({ id: 'sensor-1', by: 'rpk' })
    expect(established(client).identity.user).toEqual({ id: 'lamp', by: 'rpk' })
  })

  test('with pre-shared keys uses ephemeral ones where both sides can', async () => {
    const met = await meet(PSK, PSK)
    expect(established(met.server).identity.user).toEqual({ id: 'sensor-1', by: 'psk' })
    expect(suiteOf(met)?.algorithm).toBe('chacha20-poly1305')
  })

  test('never takes one proof for another: the same id by key and by raw key are two users', async () => {
    const both: DtlsOptions = { ...RPK, ...PSK }
    const byKey = established((await meet(both, PSK, at())).server).identity.user
    const byRawKey = established((await meet(both, RAW_SENSOR, at())).server).identity.user
    expect([byKey?.['by'], byRawKey?.['by']]).toEqual(['psk', 'rpk'])
  })

  test('fits into datagrams of 1,200 bytes', async () => {
    const { sent } = await meet(MUTUAL, SENSOR, at())
    for (const datagram of [...sent.server, ...sent.client]) expect(datagram.length).toBeLessThanOrEqual(1200)
  })
})

describe('A handshake is refused', () => {
  const chain = (length: number): DtlsOptions => ({ key: lamp.key, cert: Array.from({ length }, () => lamp.cert).join('\n') })
  const intruder = issue({ names: ['lamp.example'] }, issue({ name: 'no authority' }, root))
  const expired = issue({ names: ['lamp.example'], to: NOW - 1000 }, root)

  test.each<[string, DtlsOptions, DtlsOptions, number]>([
    ['for another name', SERVER, { ...CLIENT, serverName: 'door.example' }, ALERT.BAD_CERTIFICATE],
    ['for a certificate that has expired', { key: expired.key, cert: expired.cert }, CLIENT, ALERT.CERTIFICATE_EXPIRED],
    ['for an issuer that is no authority', { key: intruder.key, cert: intruder.cert }, CLIENT, ALERT.UNKNOWN_CA],
    ['for a chain with more certificates than needed', chain(9), CLIENT, ALERT.BAD_CERTIFICATE],
    ['for a client without certificate', MUTUAL, CLIENT, ALERT.HANDSHAKE_FAILURE],
    ['for a client of another authority', MUTUAL, { ...CLIENT, ...keyOf(intruder) }, ALERT.UNKNOWN_CA],
    ['for a raw key that is not in the table', RPK, { ...RAW_SENSOR, key: intruder.key }, ALERT.CERTIFICATE_UNKNOWN],
    ['for another raw key of the server', { ...RPK, key: intruder.key }, RAW_SENSOR, ALERT.CERTIFICATE_UNKNOWN],
    ['without a common suite', PSK, CLIENT, ALERT.HANDSHAKE_FAILURE],
    ['for a raw key where a certificate is requested', MUTUAL, RAW_SENSOR, ALERT.HANDSHAKE_FAILURE]
  ])('%s', async (_, server, client, alert) => {
    const met = await meet(server, client, at())
    expect(alertOf(met.client) ?? alertOf(met.server)).toBe(alert)
    expect(alertOf(met.server) === undefined && alertOf(met.client) === undefined).toBe(false)
  })

  test('when the network takes suites out of the ClientHello', async () => {
    // TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 and _CCM become suites that nobody has, which leaves _CCM_8.
    const weaker = (datagram: Uint8Array): Uint8Array => {
      const changed = Buffer.from(datagram)
      for (const suite of [0xc02b, 0xc0ac]) changed.writeUInt16BE(0x5a5a, changed.indexOf(Buffer.from([suite >> 8, suite & 255])))
      return changed
    }
    const over: Meeting['over'] = (datagram, from, index) => [from === 'client' && index === 0 ? weaker(datagram) : datagram]
    const met = await meet(MUTUAL, SENSOR, { ...at(), over })
    // Its CertificateVerify covers what it has sent itself.
    expect(alertOf(met.server)).toBe(ALERT.DECRYPT_ERROR)
    expect(met.client).toBeUndefined()
    const alone = await meet(SERVER, CLIENT, { ...at(), over })
    expect([alone.server, alone.client]).toEqual([undefined, undefined])
  })

  test('when the network changes the CertificateVerify', async () => {
    // The type of the message, 15, and its length of three bytes.
    const over: Meeting['over'] = (datagram, from, index) => {
      const changed = Buffer.from(datagram)
      if (from === 'client' && index > 0) {
        const found = changed.indexOf(Buffer.from([0x0f, 0, 0]))
        if (found > 0) changed[found + 50] = changed[found + 50]! ^ 1
      }
      return [changed]
    }
    expect(alertOf((await meet(MUTUAL, SENSOR, { ...at(), over })).server)).toBe(ALERT.DECRYPT_ERROR)
  })
})

function keyOf({ key, cert }: typeof lamp): DtlsOptions {
  return { key, cert }
}
