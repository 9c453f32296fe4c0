import { virtualClock } from '@iopa/testing'
import { describe, expect, test } from 'vitest'
import { ALERT } from '../src/alerts.ts'
import { EXTENSION } from '../src/handshake/extensions.ts'
import type { ClientSessions, ServerSessions } from '../src/handshake/resumption.ts'
import type { DtlsOptions } from '../src/options.ts'
import { clientSessions } from '../src/sessions/client-sessions.ts'
import { serverSessions } from '../src/sessions/server-sessions.ts'
import { SESSION_BOUNDS, SessionStore } from '../src/sessions/session-store.ts'
import { authority, issue, NOW } from './certificate-authority.ts'
import { alertOf, established, meet, TARGET } from './handshake-pair.ts'

const root = authority()
const lamp = issue({ names: ['lamp.example'] }, root)
const sensor = issue({ name: 'sensor', to: NOW + 60_000 }, root)
const MUTUAL: DtlsOptions = { key: lamp.key, cert: lamp.cert, ca: root.cert, requestCert: true }
const SENSOR: DtlsOptions = { key: sensor.key, cert: sensor.cert, ca: root.cert }
const KEY = Buffer.alloc(16, 1)
const PSK: DtlsOptions = { psk: { 'sensor-1': KEY } }

const setUp = () => {
  const clock = virtualClock({ start: NOW })
  const [serverStore, clientStore] = [new SessionStore(clock), new SessionStore(clock)]
  return { clock, serverStore, clientStore, serverSessions: serverSessions(serverStore), clientSessions: clientSessions(clientStore) }
}

type Met = Awaited<ReturnType<typeof meet>>

/** An abbreviated handshake has one flight of the server before its end, and no certificates in it. */
const isResumed = ({ server, client, sent }: Met): boolean => {
  established(server)
  established(client)
  return Buffer.concat(sent.server).length < 200
}

describe('A session', () => {
  test('is resumed with the user whom the full handshake has proven', async () => {
    const own = setUp()
    let looks = 0
    const server: DtlsOptions = { psk: () => (looks++, KEY) }
    expect(isResumed(await meet(PSK, PSK, own))).toBe(false)
    const again = await meet(server, PSK, own)
    expect(isResumed(again)).toBe(true)
    expect(established(again.server).identity.user).toEqual({ id: 'sensor-1', by: 'psk' })
    expect(looks).toBe(0)
  })

  test('is not resumed when the key of its user was removed or replaced', async () => {
    let key: Uint8Array | undefined = KEY
    const server: DtlsOptions = { psk: async () => key }
    const own = setUp()
    await meet(server, PSK, own)
    expect(isResumed(await meet(server, PSK, own))).toBe(true)
    key = Buffer.alloc(16, 2)
    const replaced = await meet(server, PSK, own)
    expect([replaced.server, replaced.client]).toEqual([undefined, undefined])
    key = undefined
    expect((await meet(server, PSK, own)).server).toBeUndefined()
    expect(own.serverStore.size).toBe(0)
  })

  test('is resumed with the certificate that the full handshake has proven', async () => {
    const own = setUp()
    await meet(MUTUAL, SENSOR, own)
    for (let times = 0; times < 3; times++) {
      const again = await meet(MUTUAL, SENSOR, own)
      expect(isResumed(again)).toBe(true)
      expect(established(again.server).identity.clientCertificate?.()).toMatchObject({ subject: { CN: 'sensor' } })
      expect(established(again.client).identity.clientCertificate?.()).toMatchObject({ subject: { CN: 'device' } })
    }
  })

  test('has other keys each time', async () => {
    const own = setUp()
    const keys = new Set<string>()
    for (let times = 0; times < 3; times++) {
      const { sealer } = established((await meet(PSK, PSK, own)).client).records
      keys.add(Buffer.from(sealer!.keys.secrets).toString('hex'))
    }
    expect(keys.size).toBe(3)
  })

  test('keeps its secret in memory of its own', async () => {
    const own = setUp()
    await meet(PSK, PSK, own)
    // A piece of a pool would keep all of that.
    expect(own.clientSessions.offer(TARGET).session!.masterSecret.buffer.byteLength).toBe(48)
  })

  test('is not resumed after its user was revoked', async () => {
    const own = setUp()
    await meet(PSK, PSK, own)
    own.serverStore.revoke(({ user }) => user?.id === 'sensor-1')
    const again = await meet(PSK, PSK, own)
    expect(isResumed(again)).toBe(false)
    // The full handshake has made another one.
    expect(isResumed(await meet(PSK, PSK, own))).toBe(true)
  })

  test('is not resumed after its time, nor after the end of its certificate', async () => {
    const own = setUp()
    await meet(PSK, PSK, own)
    await own.clock.advance(SESSION_BOUNDS.lifetime)
    expect(isResumed(await meet(PSK, PSK, own))).toBe(false)
    const certified = setUp()
    await meet(MUTUAL, SENSOR, certified)
    await certified.clock.advance(61_000)
    expect(alertOf((await meet(MUTUAL, SENSOR, certified)).server)).toBe(ALERT.CERTIFICATE_EXPIRED)
  })

  test('is not resumed by one who knows its id alone, and is not lost by that', async () => {
    const own = setUp()
    await meet(PSK, PSK, own)
    const { session } = own.clientSessions.offer(TARGET)
    const thief: ClientSessions = { ...own.clientSessions, offer: () => ({ session: { ...session!, masterSecret: Buffer.alloc(48, 9) } }) }
    const met = await meet(PSK, PSK, { ...own, clientSessions: thief })
    expect([met.server, met.client]).toEqual([undefined, undefined])
    expect(own.serverStore.size).toBe(1)
    expect(isResumed(await meet(PSK, PSK, own))).toBe(true)
  })

  test('gives another client its own user, whatever session it names', async () => {
    const own = setUp()
    await meet(PSK, PSK, own)
    const other: DtlsOptions = { psk: { 'sensor-2': Buffer.alloc(16, 2) } }
    const server: DtlsOptions = { psk: { ...PSK.psk, ...other.psk } as Record<string, Uint8Array> }
    const elsewhere = setUp()
    const met = await meet(server, other, { ...own, clientSessions: elsewhere.clientSessions })
    expect(established(met.server).identity.user?.id).toBe('sensor-2')
  })

  test('is refused without an extended master secret', async () => {
    const own = setUp()
    await meet(PSK, PSK, own)
    // The ClientHello loses the extension: its number becomes one that nobody knows.
    const over = (datagram: Uint8Array, from: string, index: number): readonly Uint8Array[] => {
      const changed = Buffer.from(datagram)
      const found = changed.indexOf(Buffer.from([0, EXTENSION.EXTENDED_MASTER_SECRET, 0, 0]))
      if (from === 'client' && index === 0) changed.writeUInt16BE(0x5a5a, found)
      return [changed]
    }
    const met = await meet(PSK, PSK, { ...own, over })
    expect(alertOf(met.server)).toBe(ALERT.HANDSHAKE_FAILURE)
  })

  test('is not resumed with another suite', async () => {
    const own = setUp()
    await meet(PSK, PSK, own)
    const suite = own.clientSessions.offer(TARGET).session!.suite.id
    const over = (datagram: Uint8Array, from: string, index: number): readonly Uint8Array[] => {
      const changed = Buffer.from(datagram)
      if (from === 'client' && index === 0) changed.writeUInt16BE(0x5a5a, changed.indexOf(Buffer.from([suite >> 8, suite & 255])))
      return [changed]
    }
    const met = await meet(PSK, PSK, { ...own, over })
    // The server began a full handshake, which the change of the hello then breaks.
    expect([met.server, met.client]).toEqual([undefined, undefined])
  })

  test('that a server has forgotten is forgotten by the client, which shakes hands in full', async () => {
    const own = setUp()
    await meet(PSK, PSK, own)
    const before = own.clientSessions.offer(TARGET).session!.id
    own.serverStore.clear()
    expect(isResumed(await meet(PSK, PSK, own))).toBe(false)
    expect(own.clientSessions.offer(TARGET).session!.id).not.toEqual(before)
  })

  test('is refused by a client where the server resumes it with another suite', async () => {
    const own = setUp()
    await meet(PSK, PSK, own)
    const confused: ServerSessions = {
      ...own.serverSessions,
      find: async (hello, signal) => {
        const found = await own.serverSessions.find(hello, signal)
        return found && { ...found, suite: { ...found.suite, id: 0xc0a8 } }
      }
    }
    expect(alertOf((await meet(PSK, PSK, { ...own, serverSessions: confused })).client)).toBe(ALERT.ILLEGAL_PARAMETER)
  })
})
