import http from 'node:http'
import https from 'node:https'
import type net from 'node:net'
import type { IopaError } from '@iopa/appbuilder'
import { type Client, type ConnectOptions, connect } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { type HttpClientOptions, http as transport } from '../src/index.ts'
import { identities } from './certificates.ts'
import { atEnd, eventually } from './support.ts'

const { ca, of } = identities('server')

interface Seen {
  readonly line: string
  readonly headers: http.IncomingHttpHeaders
  readonly body: string
}

interface Foreign {
  readonly origin: string
  readonly seen: Seen[]
  connections: number
}

/** A server that redirects `/STATUS?LOCATION`, and answers everything else with what it has got. */
const foreign = async (secure = false): Promise<Foreign> => {
  const seen: Seen[] = []
  const listener: http.RequestListener = async (request, response) => {
    let body = ''
    for await (const chunk of request) body += chunk
    seen.push({ line: `${request.method} ${request.url}`, headers: request.headers, body })
    const [, status, location] = /^\/(3\d\d)\??(.*)$/.exec(request.url ?? '') ?? []
    if (status === undefined) response.end('arrived')
    else response.writeHead(Number(status), location === '' ? {} : { location: decodeURIComponent(location as string) }).end('moved')
  }
  const server = secure ? https.createServer(of['server'] as { key: string; cert: string }, listener) : http.createServer(listener)
  const result = { origin: '', seen, connections: 0 }
  server.on(secure ? 'secureConnection' : 'connection', () => result.connections++)
  server.listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  atEnd(() => {
    server.closeAllConnections()
    server.close()
  })
  result.origin = `${secure ? 'https' : 'http'}://127.0.0.1:${(server.address() as net.AddressInfo).port}`
  return result
}

const dial = async (url: string, client: HttpClientOptions = { redirect: 'follow' }, options: ConnectOptions = {}): Promise<Client> => {
  const opened = await connect(transport({ client }), url, { timeout: 3000, ...options })
  atEnd(() => opened.close())
  return opened
}

const to = (status: number, location: string): string => `/${status}?${encodeURIComponent(location)}`

describe('a redirect', () => {
  test('is the answer, unless the client or the request follows', async () => {
    const { origin } = await foreign()
    const client = await dial(origin, {})
    const answer = await client.get(to(302, '/there'))
    expect([answer.status, answer.headers.get('location'), await answer.text()]).toEqual([302, '/there', 'moved'])
    const request = { 'iopa.Path': '/302', 'iopa.QueryString': '/there' }
    expect(await (await client.send({ ...request, 'http.Redirect': 'follow' })).text()).toBe('arrived')
    expect((await (await dial(origin)).send({ ...request, 'http.Redirect': 'manual' })).status).toBe(302)
  })

  test('without a location is the answer', async () => {
    const { origin } = await foreign()
    expect((await (await dial(origin)).get('/302?')).status).toBe(302)
  })

  test.each([
    ['POST', 301, 'GET', ''],
    ['POST', 302, 'GET', ''],
    ['POST', 303, 'GET', ''],
    ['PUT', 303, 'GET', ''],
    ['PUT', 301, 'PUT', '{"on":true}'],
    ['POST', 307, 'POST', '{"on":true}'],
    ['POST', 308, 'POST', '{"on":true}'],
    ['HEAD', 303, 'HEAD', '']
  ])('of %s with %i becomes %s with the body %j', async (method, status, then, body) => {
    const server = await foreign()
    const client = await dial(server.origin)
    const value = method === 'HEAD' ? {} : { 'iopa.Body': { on: true }, 'iopa.Headers': { 'content-language': 'en' } }
    const query = encodeURIComponent('/a%2Fb?c=%20')
    const answer = await client.send({ 'iopa.Method': method, 'iopa.Path': `/${status}`, 'iopa.QueryString': query, ...value })
    expect(answer.status).toBe(200)
    const [, second] = server.seen as [Seen, Seen]
    expect([second.line, second.body]).toEqual([`${then} /a%2Fb?c=%20`, body])
    if (method !== 'HEAD') expect(server.connections).toBe(1)
    expect([second.headers['content-type'], second.headers['content-language']]).toEqual(
      body === '' ? [undefined, undefined] : ['application/json', 'en']
    )
  })

  test('of a streamed body is refused where the body is needed again', async () => {
    const { origin } = await foreign()
    const stream = (async function* () {
      yield new Uint8Array(3)
    })()
    const answer = (await dial(origin)).send({ 'iopa.Method': 'POST', 'iopa.Path': '/307', 'iopa.QueryString': '/there', 'iopa.Body': stream })
    await expect(answer).rejects.toMatchObject({ status: 502, code: 'redirect-refused', detail: expect.stringContaining('stream') })
  })

  test('within the origin keeps the fields, and another origin gets none that identify the client, also on the way back', async () => {
    const [first, second] = [await foreign(), await foreign()]
    const client = await dial(first.origin.replace('//', '//ada:secret@'))
    const headers = { cookie: 'a=1', 'x-own': 'yes' }
    const back = `${second.origin}${to(307, `${first.origin}${to(307, '/end')}`)}`
    expect(await (await client.get(to(302, to(302, back)), { headers })).text()).toBe('arrived')
    const fields = ({ headers: { authorization, cookie, host, 'x-own': own } }: Seen): unknown[] => [authorization, cookie, `http://${host}`, own]
    const known = ['Basic YWRhOnNlY3JldA==', 'a=1', first.origin, 'yes']
    expect(first.seen.map(fields)).toEqual([known, known, [undefined, undefined, first.origin, 'yes'], [undefined, undefined, first.origin, 'yes']])
    expect(second.seen.map(fields)).toEqual([[undefined, undefined, second.origin, 'yes']])
    await client.put(to(307, `${second.origin}/x`), 'x', { headers: { authorization: 'Bearer t', 'proxy-authorization': 'Basic x' } })
    expect(second.seen[1]?.headers).not.toHaveProperty('authorization')
    expect(second.seen[1]?.headers).not.toHaveProperty('proxy-authorization')
  })

  test('leads from http: to https:, and never back', async () => {
    const [plain, secure] = [await foreign(), await foreign(true)]
    const client = await dial(secure.origin, { redirect: 'follow' }, { tls: { ca } })
    await expect(client.get(to(302, `${plain.origin}/x`))).rejects.toMatchObject({
      code: 'redirect-refused',
      detail: expect.stringContaining('https: to http:')
    })
    const other = await foreign(true)
    expect(await (await client.get(to(302, `${other.origin}/x`))).text()).toBe('arrived')
    // The certificate is verified there too.
    await expect((await dial(plain.origin)).get(to(302, `${secure.origin}/x`))).rejects.toMatchObject({ code: 'connect-failed' })
  })

  test.each([
    ['file:///etc/passwd', /file:/],
    ['http://', /no URL/],
    ['http://ada:secret@127.0.0.1/', /user name/]
  ])('to %s is refused', async (location, sentence) => {
    const { origin } = await foreign()
    const error: IopaError = await (await dial(origin)).get(to(302, location)).then(
      () => expect.unreachable(),
      error => error
    )
    expect(error).toMatchObject({ status: 502, code: 'redirect-refused', detail: expect.stringMatching(sentence) })
    expect(error.detail).not.toContain('secret')
  })

  test('is followed twenty times at most', async () => {
    let count = 0
    const server = http.createServer((_, response) => response.writeHead(302, { location: `/${++count}` }).end()).listen(0, '127.0.0.1')
    await new Promise(resolve => server.once('listening', resolve))
    atEnd(() => {
      server.closeAllConnections()
      server.close()
    })
    const client = await dial(`http://127.0.0.1:${(server.address() as net.AddressInfo).port}`)
    await expect(client.get('/')).rejects.toMatchObject({ code: 'redirect-refused', detail: expect.stringContaining('20 redirects') })
    expect(count).toBe(21)
  })

  test('to another origin leaves no connection behind', async () => {
    const [first, second] = [await foreign(), await foreign()]
    const client = await dial(first.origin)
    for (let count = 0; count < 3; count++) expect(await (await client.get(to(302, `${second.origin}/x`))).text()).toBe('arrived')
    expect([first.connections, second.connections]).toEqual([1, 3])
    await eventually('the first answers on', () => first.seen.length === 3)
  })
})

describe('credentials in a URL', () => {
  test('are sent as Basic, and those of a request go before them', async () => {
    const server = await foreign()
    const client = await dial(server.origin.replace('//', '//ada:s%C3%A9cret%3A@'), {})
    await client.get('/')
    await client.get('/', { headers: { authorization: 'Bearer x' } })
    expect(server.seen.map(({ headers }) => headers.authorization)).toEqual([`Basic ${Buffer.from('ada:sécret:').toString('base64')}`, 'Bearer x'])
    await expect(dial(server.origin.replace('//', '//a%3Ab:secret@'))).rejects.toMatchObject({ status: 400, code: 'bad-url' })
  })
})

test.each([
  [{ redirect: 'error' }, /'follow' or 'manual'/],
  [{ decompress: 1 }, /true or false/],
  [{ proxy: 'socks5://127.0.0.1' }, /URL of an HTTP proxy/],
  [{ proxy: 'http://ada:secret@proxy/path' }, /URL of an HTTP proxy/],
  [{ proxi: 'environment' }, /no option 'proxi'/]
])('http() refuses the client options %j', (client, sentence) => {
  expect(() => transport({ client: client as HttpClientOptions })).toThrow(
    expect.objectContaining({ code: 'bad-option', detail: expect.stringMatching(sentence) })
  )
})
