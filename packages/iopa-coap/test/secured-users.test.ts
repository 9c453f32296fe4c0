import { App, type Client } from '@iopa/appbuilder'
import { clientCertificate, preSharedKey, rawPublicKey, securityContext } from '@iopa/auth'
import { type CoapOptions, coap } from '@iopa/coap'
import { type DtlsOptions, dtls } from '@iopa/dtls'
import { type OscoreContextOptions, oscore } from '@iopa/oscore'
import { describe, expect, test } from 'vitest'
import { authority, issue } from '../../dtls/test/certificate-authority.ts'

const PSK = { gateway: Buffer.from('the key of the gateway') }
const COMMON = { masterSecret: Buffer.alloc(16, 1), masterSalt: Buffer.from('9e7ca92223786340', 'hex') }
const ANN: OscoreContextOptions = { ...COMMON, id: 'ann', senderId: Buffer.of(0), recipientId: Buffer.of(1) }
const annAt = (url: URL): OscoreContextOptions => ({
  ...COMMON,
  id: 'server',
  senderId: Buffer.of(1),
  recipientId: Buffer.of(0),
  servers: [url.href]
})

/** An app over DTLS that answers who asks, and remembers the user of everything that it ran. */
const serve = async (build: (app: App) => App, options: CoapOptions) => {
  const users: string[] = []
  const app = build(new App({ logger: false }))
    .use(({ user, method }) => {
      users.push(`${method} ${user?.id ?? 'nobody'} by ${user?.['by']}`)
      return method === 'CONNECT' ? undefined : `${user?.id} by ${user?.['by']}`
    })
    .use(coap({ port: 0, ...options }))
  const [listener] = await app.listen()
  return { app, users, url: listener!.url, [Symbol.asyncDispose]: () => app.close({ timeout: 0 }) }
}

const connect = async (url: URL, options: CoapOptions) => {
  const app = new App({ logger: false }).use(coap(options))
  const client: Client = await app.connect(url)
  return {
    who: async () => {
      const answer = await client.get('/')
      return answer.ok ? answer.text() : answer.status
    },
    [Symbol.asyncDispose]: () => app.close({ timeout: 0 })
  }
}

describe('OSCORE inside DTLS', () => {
  const options: CoapOptions = { dtls: dtls({ psk: PSK }), protect: oscore({ contexts: [ANN] }) }
  const bare = (app: App): App => app

  test('proves the user of a request; DTLS proves that of the connection', async () => {
    await using server = await serve(bare, options)
    await using ann = await connect(server.url, { dtls: dtls({ psk: PSK }), protect: oscore({ contexts: [annAt(server.url)] }) })
    await using gateway = await connect(server.url, { dtls: dtls({ psk: PSK }) })
    expect([await ann.who(), await gateway.who(), await ann.who()]).toEqual(['ann by oscore', 'gateway by psk', 'ann by oscore'])
    expect(server.users).toContain('CONNECT gateway by psk')
  })

  test('keeps its user from the requests of the connection that are not protected', async () => {
    await using server = await serve(bare, options)
    const protect = oscore({ contexts: [{ ...annAt(server.url), servers: ['coaps://elsewhere.example'] }] })
    await using gateway = await connect(server.url, { dtls: dtls({ psk: PSK }), protect })
    expect(await gateway.who()).toBe('gateway by psk')
    expect(server.users).not.toContain('GET ann by oscore')
  })

  test('loses its user alone when that is revoked', async () => {
    await using server = await serve(bare, options)
    await using ann = await connect(server.url, { dtls: dtls({ psk: PSK }), protect: oscore({ contexts: [annAt(server.url)] }) })
    expect(await ann.who()).toBe('ann by oscore')
    server.app.revoke({ id: 'ann' })
    await using gateway = await connect(server.url, { dtls: dtls({ psk: PSK }) })
    expect(await gateway.who()).toBe('gateway by psk')
    expect(server.app.counters().coap?.connections).toBe(2)
  })
})

describe('the user of a certificate over DTLS', () => {
  const root = authority('authority')
  const lamp = issue({ names: ['127.0.0.1'] }, root)
  const sensor = issue({ name: 'sensor' }, root)
  const stranger = issue({ name: 'stranger' }, root)
  const own: DtlsOptions = { key: lamp.key, cert: lamp.cert, ca: root.cert, requestCert: true, psk: PSK }
  const proving = ({ key, cert }: typeof sensor): CoapOptions => ({ dtls: dtls({ key, cert, ca: root.cert }) })
  const certificates = (app: App): App =>
    app.use(clientCertificate({ user: ({ subject: { CN } }) => (CN === 'sensor' ? { id: `device ${CN}` } : null) }))

  test('is what clientCertificate() gives, for the connection and its requests', async () => {
    await using server = await serve(certificates, { dtls: dtls(own) })
    await using device = await connect(server.url, proving(sensor))
    expect([await device.who(), await device.who()]).toEqual(['device sensor by certificate', 'device sensor by certificate'])
    expect(server.users[0]).toBe('CONNECT device sensor by certificate')
  })

  test('is refused where clientCertificate() gives none', async () => {
    await using server = await serve(certificates, { dtls: dtls(own) })
    await using device = await connect(server.url, proving(stranger))
    await expect(device.who()).rejects.toMatchObject({ status: 502 })
    expect(server.users).toEqual([])
  })

  test('is not asked for where a pre-shared key has proven another one', async () => {
    await using server = await serve(app => certificates(app.use(preSharedKey({ user: name => ({ id: `key ${name}` }), optional: true }))), {
      dtls: dtls(own)
    })
    await using gateway = await connect(server.url, { dtls: dtls({ psk: PSK }) })
    expect(await gateway.who()).toBe('key gateway by psk')
  })
})

describe('a name that the transport has proven', () => {
  const made = (name: string) => ({ id: `device ${name}`, roles: ['device'] })
  const named = (app: App): App =>
    app
      .use(preSharedKey({ user: made, optional: true }))
      .use(rawPublicKey({ user: made, optional: true }))
      .use(securityContext({ user: made, optional: true }))

  test('has the user that preSharedKey(), rawPublicKey() or securityContext() gives it, made once for the connection and each request', async () => {
    const [lamp, sensor] = [issue({ name: 'lamp' }), issue({ name: 'sensor' })]
    const publicPem = ({ publicKey }: typeof lamp): string => publicKey.export({ format: 'pem', type: 'spki' }) as string
    const own = dtls({ psk: PSK, key: lamp.key, rawPublicKeys: { sensor: publicPem(sensor) } })
    await using server = await serve(named, { dtls: own, protect: oscore({ contexts: [ANN] }) })
    await using gateway = await connect(server.url, { dtls: dtls({ psk: PSK }) })
    await using raw = await connect(server.url, { dtls: dtls({ key: sensor.key, rawPublicKeys: { lamp: publicPem(lamp) } }) })
    await using ann = await connect(server.url, { dtls: dtls({ psk: PSK }), protect: oscore({ contexts: [annAt(server.url)] }) })
    for (let turn = 0; turn < 2; turn++)
      expect([await gateway.who(), await raw.who(), await ann.who()]).toEqual([
        'device gateway by psk',
        'device sensor by rpk',
        'device ann by oscore'
      ])
    expect(server.users).toContain('CONNECT device sensor by rpk')
  })
})
