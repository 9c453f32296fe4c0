import { once } from 'node:events'
import net from 'node:net'
import { App, type Limits, type Transport } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { mqtt } from '@iopa/mqtt'
import { websocket } from '@iopa/mqtt/websocket'
import { tcp } from '@iopa/tcp'
import { afterEach, describe, expect, test } from 'vitest'
import { identities } from '../packages/iopa-http/test/certificates.ts'

const open: (() => unknown)[] = []
afterEach(async () => {
  for (const dispose of open.splice(0).reverse()) await dispose()
})

/** A proxy that puts a header before what each connection sends. */
const proxyTo = async (port: number, header: () => string): Promise<number> => {
  const server = net.createServer(client => {
    const onward = net.connect(port, '127.0.0.1')
    for (const socket of [client, onward]) socket.on('error', () => undefined)
    onward.write(header())
    client.pipe(onward).pipe(client)
    open.push(() => client.destroy())
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  open.push(() => server.close())
  return (server.address() as net.AddressInfo).port
}

interface More {
  readonly proxyProtocol?: readonly string[]
  readonly limits?: Partial<Limits>
}

const TRANSPORTS: [string, (more: More) => Transport][] = [
  ['tcp', more => tcp({ port: 0, ...more })],
  ['mqtt', more => mqtt({ port: 0, ...more })],
  [
    'ws',
    ({ proxyProtocol, ...more }) =>
      mqtt({ port: 0, ...more, websocket: websocket({ port: 0, ...(proxyProtocol && { proxyProtocol }) }), client: { websocket: websocket() } })
  ],
  ['coap+tcp', more => coap({ port: 0, udp: false, tcp: true, ...more })]
]

describe.each(TRANSPORTS)('the PROXY protocol before %s', (scheme, transport) => {
  const served = async (more: More): Promise<{ port: number; ask(port: number): Promise<string> }> => {
    const app = new App({ logger: false }).use(transport(more)).use(context => context.remoteAddress)
    const [listener] = await app.listen()
    open.push(() => app.close({ timeout: 100 }))
    const ask = async (port: number): Promise<string> => {
      const client = await app.connect(`${scheme}://127.0.0.1:${port}`, { timeout: 2000 })
      open.push(() => client.close())
      return (await client.get('/here')).text()
    }
    const { url, websocketUrl } = listener as { url: URL; websocketUrl?: URL | null }
    return { port: Number((websocketUrl ?? url).port), ask }
  }

  test('names the peer, by whose address connections are limited', async () => {
    const { port, ask } = await served({ proxyProtocol: ['loopback'], limits: { connectionsPerAddress: 1 } })
    let last = 7
    const proxy = await proxyTo(port, () => `PROXY TCP4 203.0.113.${last} 10.0.0.1 4242 443\r\n`)
    expect(await ask(proxy)).toBe('203.0.113.7')
    const second = await ask(proxy).catch((error: unknown) => (error as Error).message)
    expect(second).not.toBe('203.0.113.7')
    last = 8
    expect(await ask(proxy)).toBe('203.0.113.8')
  })

  test('is refused where it is malformed, or the peer is no proxy', async () => {
    const strict = await served({ proxyProtocol: ['loopback'], limits: { headerTimeout: 200 } })
    await expect(strict.ask(await proxyTo(strict.port, () => 'PROXY TCP4 a b c d\r\n'))).rejects.toThrow()
    const others = await served({ proxyProtocol: ['203.0.113.0/24'] })
    expect(await others.ask(others.port)).toBe('127.0.0.1')
  })

  test('takes addresses alone', async () => {
    await expect(served({ proxyProtocol: ['proxy.example'] })).rejects.toMatchObject({ code: 'bad-option' })
  })
})

describe('the PROXY protocol before MQTT over WebSocket', () => {
  test('comes before TLS, and a connection without it does not keep the app open', async () => {
    const { ca, of } = identities('server')
    const browsers = websocket({ port: 0, tls: of['server'] as never, proxyProtocol: ['loopback'] })
    const app = new App({ logger: false })
      .use(mqtt({ port: 0, websocket: browsers, client: { websocket: websocket() } }))
      .use(context => context.remoteAddress)
    const [listener] = await app.listen()
    const { port, protocol } = (listener as unknown as { websocketUrl: URL }).websocketUrl
    expect(protocol).toBe('wss:')
    const proxy = await proxyTo(Number(port), () => 'PROXY TCP4 203.0.113.7 10.0.0.1 4242 443\r\n')
    const client = await app.connect(`wss://localhost:${proxy}`, { timeout: 2000, tls: { ca } })
    expect(await (await client.get('/here')).text()).toBe('203.0.113.7')
    await client.close()
    const silent = net.connect(Number(port), '127.0.0.1')
    await once(silent, 'connect')
    const ended = once(silent, 'close')
    await app.close({ timeout: 100 })
    await ended
  })

  test('is for a port of its own', () => {
    expect(() => websocket({ on: 'http', proxyProtocol: ['loopback'] })).toThrow("'proxyProtocol' of websocket() has no meaning")
    expect(() => websocket({ server: net.createServer() as never, proxyProtocol: ['loopback'] })).toThrow('a port of its own')
  })
})
