import { DEFAULT_LIMITS, type SecuredPeer } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { type DtlsOptions, dtls } from '../src/index.ts'
import { readRecord } from '../src/records/record.ts'
import { authority, issue } from './certificate-authority.ts'
import { KEY, type OpenChannel, world } from './channels.ts'

// The clock of a test begins in 1970.
const DATES = { from: -86_400_000, to: 30 * 86_400_000 }
const root = authority('authority', DATES)
const middle = authority('middle', DATES, root)
const lamp = issue({ names: ['localhost'], ...DATES }, middle)
const sensor = issue({ name: 'sensor', ...DATES }, root)
const publicPem = ({ publicKey }: typeof lamp): string => publicKey.export({ format: 'pem', type: 'spki' }) as string

const MUTUAL: DtlsOptions = { key: lamp.key, cert: `${lamp.cert}\n${middle.cert}`, ca: root.cert, requestCert: true }
const SENSOR: DtlsOptions = { key: sensor.key, cert: sensor.cert, ca: root.cert }

describe('a handshake with certificates over a network that loses, repeats and reorders', () => {
  test('succeeds or fails within its time, and leaves nothing', async () => {
    let complete = 0
    const seeds = [1, 2, 3, 4, 5, 6]
    for (const seed of seeds) {
      const { open, connect, settle, network, clock } = world({ loss: 0.2, duplication: 0.2, reordering: 0.3, lateness: 400, delay: [5, 60], seed })
      const server = await open(MUTUAL, { accept: true })
      const client = await open(SENSOR)
      const peer = await connect(client).catch(error => expect(error).toMatchObject({ code: 'handshake-failed' }))
      network.conditions = { ...network.conditions, loss: 0, duplication: 0, reordering: 0 }
      await settle(1000)
      if (peer !== undefined && server.opened.length > 0) {
        ;(peer as SecuredPeer).send(Buffer.from('hello'))
        await settle(1000)
        expect(client.received.map(({ text }) => text)).toEqual(['hello'])
        expect(server.opened[0]?.clientCertificate?.()).toMatchObject({ subject: { CN: 'sensor' } })
        complete++
      }
      await Promise.all([client.channel.close(), server.channel.close()])
      await settle(30_000)
      expect(clock.pending).toBe(0)
    }
    expect(complete).toBeGreaterThan(seeds.length / 2)
  })
})

describe('a session that a channel keeps', () => {
  /** Counts what the server sends: a full handshake with certificates is many times an abbreviated one. */
  const meter = (network: ReturnType<typeof world>['network']) => {
    let sent = 0
    network.script = ({ from, bytes }) => {
      if (from.port === 5684) sent += bytes.length
      return undefined
    }
    return { taken: () => [sent, (sent = 0)][0]! }
  }

  test('is resumed, and not after its user was revoked on either side', async () => {
    const { open, connect, settle, network } = world()
    const raw: DtlsOptions = { key: lamp.key, rawPublicKeys: { sensor: publicPem(sensor) } }
    const server = await open(raw, { accept: true })
    const own: DtlsOptions = { key: sensor.key, rawPublicKeys: { lamp: publicPem(lamp) } }
    const client: OpenChannel = await open(own)
    const { taken } = meter(network)
    const full = async (): Promise<number> => {
      const peer = await connect(client)
      await settle()
      expect(peer.user).toEqual({ id: 'lamp', by: 'rpk' })
      expect(server.opened.at(-1)?.user).toEqual({ id: 'sensor', by: 'rpk' })
      peer.close()
      await settle()
      return taken()
    }
    const first = await full()
    expect(await full()).toBeLessThan(first / 2)
    server.channel.revoke(({ user }) => user?.id === 'sensor')
    expect(await full()).toBeGreaterThan(first * 0.8)
    expect(await full()).toBeLessThan(first / 2)
    client.channel.revoke(({ user }) => user?.id === 'lamp' && user.by === 'rpk')
    expect(await full()).toBeGreaterThan(first * 0.8)
  })

  test('is resumed by the next channel of a client with the same options value', async () => {
    const { open, settle, network, clock } = world()
    const server = await open({ psk: { sensor: KEY } }, { accept: true })
    const { taken } = meter(network)
    const value = dtls({ psk: { sensor: KEY } })
    const sizes: number[] = []
    for (let times = 0; times < 2; times++) {
      const below = await network.bind({ host: '0.0.0.0', port: 0 })
      const channel = value.over(below, { clock, limits: DEFAULT_LIMITS, logger: console, accept: false })
      channel.open({ opened: () => {}, message: () => {}, closed: () => {}, error: () => {} })
      const target = { address: '127.0.0.1', port: 5684, host: 'localhost' }
      await clock.runUntil(channel.connect(target, new AbortController().signal))
      await channel.close()
      await settle()
      sizes.push(taken())
    }
    expect(server.opened).toHaveLength(2)
    expect(sizes[1]).toBeLessThan(sizes[0]! - 60)
  })

  test('ends at once when its user is revoked while it is being resumed', async () => {
    const { open, connect, settle, network, clock } = world()
    const server = await open({ psk: { sensor: KEY } }, { accept: true })
    const client = await open({ psk: { sensor: KEY } })
    const peer = await connect(client)
    peer.close()
    await settle()
    // The server's Finished is on its way, and the client's has not come.
    let isHeld = true
    network.script = ({ to, bytes }) => (isHeld && to.port === 5684 && bytes[0] === 20 ? 'drop' : undefined)
    const again = connect(client)
    await clock.runUntil(again)
    server.channel.revoke(({ user }) => user?.id === 'sensor')
    isHeld = false
    await settle(5000)
    expect(server.opened).toHaveLength(1)
  })

  test('with a certificate, whose peer is no user, ends by its fingerprint or subject, and is not resumed', async () => {
    const { open, connect, settle, network } = world()
    const { taken } = meter(network)
    const another = issue({ name: 'other', ...DATES }, root)
    const server = await open(MUTUAL, { accept: true })
    const client = await open(SENSOR)
    const other = await open({ ...SENSOR, key: another.key, cert: another.cert })
    const join = async (from: OpenChannel): Promise<number> => {
      taken()
      await connect(from)
      await settle()
      return taken()
    }
    const full = await join(client)
    await join(other)
    const fingerprint = server.opened[0]?.fingerprint
    expect(fingerprint).toBe(sensor.x509.fingerprint256)
    server.channel.revoke(identity => identity.fingerprint === fingerprint)
    await settle()
    expect([server.closed, other.closed]).toMatchObject([[{ peer: server.opened[0], reason: 'revoked' }], []])
    expect(await join(client)).toBeGreaterThan(full * 0.8)
    // The other one keeps what was kept for it, until it is named.
    expect(await join(other)).toBeLessThan(full / 2)
    server.channel.revoke(({ clientCertificate }) => (clientCertificate?.() as { subject: { CN: string } } | undefined)?.subject.CN === 'other')
    await settle()
    expect(server.closed.at(-1)).toMatchObject({ peer: server.opened.at(-1), reason: 'revoked' })
    expect(await join(other)).toBeGreaterThan(full * 0.8)
  })

  test('is refused within a second where the client has not the certificate that the server asks for', async () => {
    const { open, clock } = world()
    const server = await open(MUTUAL, { accept: true })
    const client = await open({ ca: root.cert })
    const target = { address: '127.0.0.1', port: 5684, host: 'localhost' }
    const connecting = client.channel.connect(target, new AbortController().signal).catch((error: unknown) => error)
    expect(await clock.runUntil(connecting)).toMatchObject({
      code: 'handshake-failed',
      message: expect.stringContaining('give dtls() a key, with its cert')
    })
    expect(clock.elapsed()).toBeLessThan(1500)
    expect(server.opened).toEqual([])
  })

  test('with a certificate that is revoked during the handshake does not begin', async () => {
    const { open, settle, network, clock } = world()
    const server = await open(MUTUAL, { accept: true })
    const client = await open(SENSOR)
    // Of the last flight the Certificate arrives alone, and the rest later.
    let isHeld = true
    network.script = ({ from, to, bytes }) => {
      const changesCipher = Buffer.from(bytes).indexOf(Uint8Array.of(20, 0xfe, 0xfd))
      if (!isHeld || to.port !== 5684 || changesCipher <= 0) return undefined
      network.inject(bytes.subarray(0, readRecord(bytes, 0)!.end), from, to)
      return 'drop'
    }
    const target = { address: '127.0.0.1', port: 5684, host: 'localhost' }
    const connecting = client.channel.connect(target, new AbortController().signal).catch((error: unknown) => error)
    await settle(500)
    server.channel.revoke(({ fingerprint }) => fingerprint === sensor.x509.fingerprint256)
    isHeld = false
    expect(await clock.runUntil(connecting)).toMatchObject({ code: 'handshake-failed' })
    expect(server.opened).toEqual([])
  })
})
