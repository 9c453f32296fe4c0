import http from 'node:http'
import net from 'node:net'
import { type Client, type ConnectOptions, connect } from '@iopa/transport'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { environmentProxy } from '../src/client/environment-proxy.ts'
import { type HttpClientOptions, http as transport } from '../src/index.ts'
import { identities } from './certificates.ts'
import { atEnd, serve } from './support.ts'

const { ca, of } = identities('server')

interface TestProxy {
  readonly url: string
  /** Request line, Host and Proxy-Authorization of each request. */
  readonly seen: unknown[][]
}

/** A proxy; `status` is its answer to CONNECT. */
const proxy = async (status = 200, first = ''): Promise<TestProxy> => {
  const seen: unknown[][] = []
  const sockets = new Set<net.Socket>()
  const record = ({ method, url, headers }: http.IncomingMessage): void =>
    void seen.push([`${method} ${url}`, headers.host, headers['proxy-authorization']])
  const server = http.createServer((request, response) => {
    record(request)
    const { 'proxy-authorization': _, ...headers } = request.headers
    request.pipe(
      http.request(request.url as string, { method: request.method as string, headers }, answer => {
        response.writeHead(answer.statusCode as number, answer.headers)
        answer.pipe(response)
      })
    )
  })
  server.on('connection', socket => sockets.add(socket))
  server.on('connect', (request, socket) => {
    record(request)
    if (status !== 200) return void socket.end(`HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`)
    const { hostname: host, port } = new URL(`http://${request.url}`)
    const onward = net.connect(Number(port), host, () => socket.write(`HTTP/1.1 200 Connected\r\n\r\n${first}`))
    sockets.add(onward)
    for (const end of [socket, onward]) end.on('error', () => undefined)
    socket.pipe(onward).pipe(socket)
  })
  server.listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  atEnd(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`, seen }
}

const dial = async (url: string, client: HttpClientOptions, options: ConnectOptions = {}): Promise<Client> => {
  const opened = await connect(transport({ client }), url, { timeout: 3000, ...options })
  atEnd(() => opened.close())
  return opened
}

afterEach(() => vi.unstubAllEnvs())

describe('a client with a proxy', () => {
  test('sends absolute targets for http:, with the credentials of the proxy and those of the server', async () => {
    const { url, seen } = await proxy()
    const { origin } = await serve(context => [context['server.RawPath'], context.headers.get('authorization') ?? null])
    const client = await dial(origin.replace('//', '//bob:x@'), { proxy: url.replace('//', '//ada:s%20t@') })
    expect(await (await client.get('/a b?c=d')).json()).toEqual(['/a%20b', `Basic ${btoa('bob:x')}`])
    await client.put('/x', { on: true })
    const more = [origin.slice('http://'.length), `Basic ${btoa('ada:s t')}`]
    expect(seen).toEqual([
      [`GET ${origin}/a%20b?c=d`, ...more],
      [`PUT ${origin}/x`, ...more]
    ])
  })

  test('asks for a tunnel for https:, once a connection, and verifies the server', async () => {
    const { url, seen } = await proxy()
    const { port } = await serve(context => [context.scheme, context.headers.get('proxy-authorization') ?? null], {
      tls: of['server'] as { key: string; cert: string }
    })
    const through = { proxy: url.replace('//', '//ada:secret@') }
    const client = await dial(`https://localhost:${port}`, through, { tls: { ca } })
    for (let count = 0; count < 2; count++) expect(await (await client.get('/')).json()).toEqual(['https', null])
    expect(seen).toEqual([[`CONNECT localhost:${port}`, `localhost:${port}`, `Basic ${btoa('ada:secret')}`]])
    await expect(dial(`https://localhost:${port}`, through)).rejects.toMatchObject({ code: 'connect-failed' })
  })

  test.each([
    [407, /407: give a user name/],
    [502, /CONNECT with 502/]
  ])('rejects with proxy-refused where CONNECT is answered with %i', async (status, sentence) => {
    const { url } = await proxy(status)
    await expect(dial('https://localhost:1', { proxy: url })).rejects.toMatchObject({
      status: 502,
      code: 'proxy-refused',
      detail: expect.stringMatching(sentence)
    })
  })

  test('rejects what comes before TLS, what is no HTTP, and a proxy that says nothing', async () => {
    const { port } = await serve(() => 'x', { tls: of['server'] as { key: string; cert: string } })
    await expect(dial(`https://localhost:${port}`, { proxy: (await proxy(200, 'early')).url })).rejects.toMatchObject({ code: 'bad-answer' })
    const sockets: net.Socket[] = []
    const server = net.createServer(socket => {
      sockets.push(socket)
      if (sockets.length === 1) socket.end('SSH-2.0\r\n')
    })
    server.listen(0, '127.0.0.1')
    await new Promise(resolve => server.once('listening', resolve))
    atEnd(() => {
      for (const socket of sockets) socket.destroy()
      server.close()
    })
    const place = { proxy: `127.0.0.1:${(server.address() as net.AddressInfo).port}` }
    await expect(dial('https://localhost:1', place)).rejects.toMatchObject({ code: 'proxy-refused' })
    await expect(dial('https://localhost:1', place, { timeout: 50 })).rejects.toMatchObject({ status: 504, code: 'timeout' })
  })

  test('observes through it', async () => {
    const { url } = await proxy()
    const { origin } = await serve(() => ({ on: true }))
    for await (const answer of (await dial(origin, { proxy: url })).observe('/')) {
      expect(await answer.json()).toEqual({ on: true })
      break
    }
  })

  test('follows redirects through it', async () => {
    const { url, seen } = await proxy()
    const there = await serve(() => 'there')
    const here = await serve(context => {
      context.response.status = 302
      context.response.headers.set('location', `${there.origin}/x`)
      return null
    })
    expect(await (await (await dial(here.origin, { proxy: url, redirect: 'follow' })).get('/')).text()).toBe('there')
    expect(seen.map(([line]) => line)).toEqual([`GET ${here.origin}/`, `GET ${there.origin}/x`])
  })

  test('reads the environment when it is asked to', async () => {
    const { url, seen } = await proxy()
    const { origin } = await serve(() => 'x')
    vi.stubEnv('http_proxy', url)
    vi.stubEnv('no_proxy', '')
    await (await dial(origin, {})).get('/')
    expect(seen).toHaveLength(0)
    await (await dial(origin, { proxy: 'environment' })).get('/')
    expect(seen).toHaveLength(1)
    vi.stubEnv('no_proxy', '127.0.0.1')
    await (await dial(origin, { proxy: 'environment' })).get('/')
    expect(seen).toHaveLength(1)
    vi.stubEnv('no_proxy', '')
    vi.stubEnv('http_proxy', 'socks5://ada:secret@127.0.0.1')
    const error = await dial(origin, { proxy: 'environment' }).catch((error: unknown) => error)
    expect(error).toMatchObject({ status: 500, code: 'bad-option', detail: expect.not.stringContaining('secret') })
  })
})

describe('the proxy of the environment', () => {
  const of = (url: string, environment: Record<string, string>): string | undefined => environmentProxy(new URL(url), environment)?.url.host
  const both = { HTTP_PROXY: 'http://plain:1', HTTPS_PROXY: 'secure:2' }

  test('follows from the scheme, and small letters go before', () => {
    expect([of('http://a', both), of('https://a', both), of('https://a', { HTTP_PROXY: 'x:1' })]).toEqual(['plain:1', 'secure:2', undefined])
    expect(of('http://a', { ...both, http_proxy: 'http://small:3' })).toBe('small:3')
  })

  test('is not what a CGI program has got from a request', () => {
    expect(of('http://a', { ...both, REQUEST_METHOD: 'GET' })).toBeUndefined()
    expect(of('http://a', { http_proxy: 'own:1', REQUEST_METHOD: 'GET' })).toBe('own:1')
  })

  test.each([
    ['http://lights.example', '*', false],
    ['http://lights.example', 'lights.example', false],
    ['http://hall.lights.example', 'other, lights.example', false],
    ['http://hall.lights.example', '.Lights.Example', false],
    ['http://hall.lights.example', '*.lights.example', false],
    ['http://moonlights.example', 'lights.example', true],
    ['http://lights.example', 'lights.example:8080', true],
    ['http://lights.example:8080', 'lights.example:8080', false],
    ['https://lights.example', 'lights.example:443', false],
    ['http://[::1]', '::1', false],
    ['http://[::1]:80', '[::1]:80', false],
    ['http://[::1]:81', '[::1]:80', true],
    ['http://127.0.0.1', 'localhost .', true]
  ])('is used for %s with NO_PROXY=%s: %j', (url, list, used) => {
    expect(of(url, { ...both, NO_PROXY: list }) !== undefined).toBe(used)
  })
})
