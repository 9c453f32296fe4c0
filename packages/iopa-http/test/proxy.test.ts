import { App } from '@iopa/appbuilder'
import { virtualClock, virtualNetwork } from '@iopa/testing'
import type { ByteChannel } from '@iopa/transport'
import { describe, expect, test } from 'vitest'
import { type HttpOptions, http } from '../src/index.ts'
import { ask, eventually, Peer, parse, serve } from './support.ts'

const seen = async (fields: string, options: HttpOptions = {}): Promise<unknown> => {
  const { port } = await serve(context => [context.remoteAddress, context.scheme, context['server.TLS'], context.host, context.port], options)
  const answer = parse(await ask(port, `GET / HTTP/1.1\r\nHost: localhost:99\r\n${fields}Connection: close\r\n\r\n`))
  return answer.status === 200 ? JSON.parse(answer.body) : answer.status
}

const address = async (fields: string, options: HttpOptions): Promise<unknown> => ((await seen(fields, options)) as unknown[])[0]

const forwarded = 'X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: lights.example\r\n'
const direct = ['127.0.0.1', 'http', false, 'localhost', 99]

describe('without trustProxy', () => {
  test('forwarding headers are ignored', async () => {
    expect(await seen(forwarded)).toEqual(direct)
    expect(await seen(forwarded, { trustProxy: [] })).toEqual(direct)
    expect(await seen(forwarded, { trustProxy: ['10.0.0.0/8', '::1'] })).toEqual(direct)
  })
})

describe('behind a trusted proxy', () => {
  const options = { trustProxy: ['loopback', '10.0.0.0/8', '2001:db8::/32'], hosts: ['*'] }

  test('address, scheme and host are those of the client', async () => {
    expect(await seen(forwarded, options)).toEqual(['203.0.113.7', 'https', true, 'lights.example', 443])
  })

  test('Forwarded is read by its own grammar, and before the older fields', async () => {
    const field = (value: string): string => `Forwarded: ${value}\r\n`
    expect(await seen(field('for=203.0.113.7;proto=https;host=lights.example'), options)).toEqual([
      '203.0.113.7',
      'https',
      true,
      'lights.example',
      443
    ])
    expect(
      await seen(
        `X-Forwarded-Proto: http\r\nX-Forwarded-Host: lights.example\r\n${field('For="[2001:db9::1]:4711"; Proto=HTTPS; by=10.0.0.5')}`,
        options
      )
    ).toEqual(['2001:db9::1', 'https', true, 'localhost', 99])
    expect(await address(field('for=1.2.3.4, for="203.0.113.7:80" , for=10.0.0.5'), options)).toBe('203.0.113.7')
    expect(await address(`${field('for=1.2.3.4')}${field('for=203.0.113.7')}`, options)).toBe('203.0.113.7')
    expect(await seen(field('for=203.0.113.7;proto=https, for=10.0.0.5;proto=http'), options)).toEqual([
      '203.0.113.7',
      'https',
      true,
      'localhost',
      99
    ])
  })

  test('Forwarded that is malformed, hidden or unknown ends the chain, and the older fields are not used instead', async () => {
    for (const value of ['for=', 'for="203.0.113.7', 'for=203.0.113.7;for=1.2.3.4', '203.0.113.7', 'for=_hidden', 'for=unknown', ';', 'for=a b'])
      expect([value, await address(`X-Forwarded-Host: evil.example\r\nForwarded: ${value}\r\n`, options)]).toEqual([value, '127.0.0.1'])
  })

  test('a Forwarded of the client, which the proxy lets pass beside its own X-Forwarded-For, is refused where they differ', async () => {
    for (const value of [
      'for=127.0.0.1',
      'for=10.0.0.5',
      'for=203.0.113.8',
      'for=203.0.113.7, for=203.0.113.8',
      'for=_hidden',
      'for=unknown',
      ';',
      'host=a'
    ])
      expect([value, await seen(`${forwarded}Forwarded: ${value}\r\n`, options)]).toEqual([value, 400])
    expect(await address(`${forwarded}Forwarded: for="203.0.113.7:99";proto=https\r\n`, options)).toBe('203.0.113.7')
  })

  test('keys without a forwarding header are unchanged', async () => {
    expect(await seen('', options)).toEqual(direct)
    expect(await seen('X-Forwarded-Proto: gopher\r\n', options)).toEqual(direct)
  })

  test('the client is the last address that is not a proxy, even if the client sends the header', async () => {
    expect(await address('X-Forwarded-For: 1.2.3.4, 203.0.113.7, 10.0.0.5\r\n', options)).toBe('203.0.113.7')
    expect(await address('X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For: 10.0.0.5\r\n', options)).toBe('203.0.113.7')
    expect(await address('X-Forwarded-For: 10.0.0.4, 10.0.0.5\r\n', options)).toBe('10.0.0.4')
  })

  test('the entry of the outermost trusted proxy is used from each list', async () => {
    const fields =
      'X-Forwarded-For: 1.2.3.4, 203.0.113.7, 10.0.0.5\r\nX-Forwarded-Proto: http, https, http\r\nX-Forwarded-Host: evil.example, lights.example, inner.example\r\n'
    expect(await seen(fields, options)).toEqual(['203.0.113.7', 'https', true, 'lights.example', 443])
  })

  test('addresses may have ports, brackets and all forms of IPv6', async () => {
    expect(await address('X-Forwarded-For: 203.0.113.7:4711\r\n', options)).toBe('203.0.113.7')
    expect(await address('X-Forwarded-For: [2001:db9::1]:4711\r\n', options)).toBe('2001:db9::1')
    expect(await address('X-Forwarded-For: ::ffff:203.0.113.7, 2001:db8::1\r\n', options)).toBe('203.0.113.7')
  })

  test('an invalid address ends the chain', async () => {
    expect(await address('X-Forwarded-For: 203.0.113.7, unknown, 10.0.0.5\r\n', options)).toBe('10.0.0.5')
    expect(await address('X-Forwarded-For: <script>\r\n', options)).toBe('127.0.0.1')
  })

  test('the forwarded host must be valid and match hosts', async () => {
    const rules = { trustProxy: ['loopback'], hosts: ['lights.example'] }
    expect(await address(forwarded, rules)).toBe('203.0.113.7')
    expect(await seen('X-Forwarded-Host: evil.example\r\n', rules)).toBe(421)
    expect(await seen('X-Forwarded-Host: a/b\r\n', options)).toBe(400)
  })

  test('the forwarded host must match hosts in HTTP/1.0 too, with or without a Host header', async () => {
    const { port } = await serve(context => context.host, { trustProxy: ['loopback'], hosts: ['lights.example'] })
    const ask10 = async (target: string, fields: string) => parse(await ask(port, `GET ${target} HTTP/1.0\r\n${fields}\r\n`))
    for (const host of ['', 'Host: lights.example\r\n']) {
      expect((await ask10('/', `${host}X-Forwarded-Host: evil.example\r\n`)).status).toBe(421)
      expect((await ask10('/', `${host}X-Forwarded-Host: lights.example\r\n`)).body).toBe('lights.example')
    }
    expect((await ask10('http://evil.example/', 'X-Forwarded-For: 203.0.113.7\r\n')).status).toBe(421)
    expect((await ask10('http://lights.example/', 'X-Forwarded-For: 203.0.113.7\r\n')).body).toBe('lights.example')
  })

  test('requests inherit nothing from their shared connection', async () => {
    const { port } = await serve(context => String(context.connection), options)
    expect(parse(await ask(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')).body).toBe('null')
  })
})

describe('connections of a proxy', () => {
  const EVENTS = 'Accept: text/event-stream\r\n'
  const get = (client: string, fields = EVENTS): string =>
    `GET / HTTP/1.1\r\nHost: a\r\n${client === '' ? '' : `X-Forwarded-For: ${client}\r\n`}${fields}\r\n`
  const options = { trustProxy: ['loopback', '10.0.0.0/8'], hosts: ['*'], limits: { connectionsPerAddress: 2 } }
  const told = /data: |too-many-connections/

  test('are counted per client: one over the limit is refused, others are not', async () => {
    const { port } = await serve(() => 'x', options)
    const observe = async (client: string): Promise<Peer> => {
      const peer = new Peer(port).send(get(client))
      await peer.until(told)
      return peer
    }
    const first = await observe('203.0.113.7')
    await observe('203.0.113.7')
    const third = await observe('203.0.113.7')
    expect(third.text).toMatch(/^HTTP\/1\.1 503 [\s\S]*retry-after: 10/)
    // The connection is the proxy's, who uses it for another client.
    third.text = ''
    third.send(get('203.0.113.8'))
    expect(await third.until(told)).toMatch(/200 OK/)
    expect((await observe('203.0.113.8')).text).toMatch(/200 OK/)
    expect((await observe('127.0.0.1')).text).toMatch(/200 OK/)

    first.socket.destroy()
    await eventually('there is room again', () => first.closed)
    await new Promise(resolve => setTimeout(resolve, 20))
    const again = await observe('203.0.113.7')
    expect(again.text).toMatch(/200 OK/)
  })

  test('count a client while its request runs, whatever the answer', async () => {
    const { port } = await serve(context => {
      if (context.path === '/fails') throw new Error('failed')
      return 'x'
    }, options)
    const peer = new Peer(port)
    for (let round = 0; round < 10; round++) {
      for (const path of ['/', '/fails', '/a//b', '*']) peer.send(get('203.0.113.7', '').replace('/ HTTP', `${path} HTTP`))
    }
    peer.send(get('203.0.113.7', 'Connection: close\r\n'))
    expect(await peer.untilEnd()).not.toMatch(/ 503 /)
  })

  test('do not count for the address of the proxy, but those of other addresses do', async () => {
    const clock = virtualClock()
    const network = virtualNetwork({ clock })
    const app = new App({ logger: false, clock })
      .use(http({ ...options, host: '0.0.0.0', port: 80, network: network.machine('10.0.0.1'), clock }))
      .use(() => 'x')
    await app.listen()
    const answers = async (from: string, client: (number: number) => string): Promise<string[]> => {
      const texts: string[] = []
      const channels: ByteChannel[] = []
      for (let number = 0; number < 5; number++) {
        const channel = await clock.runUntil(network.machine(from).connect({ host: '10.0.0.1', port: 80 }))
        channels.push(channel)
        texts.push('')
        channel.open({
          data: chunk => void (texts[number] += new TextDecoder().decode(chunk)),
          end: () => undefined,
          drain: () => undefined,
          close: () => undefined
        })
        channel.write(get(client(number)))
        await clock.advance(100)
      }
      for (const channel of channels) channel.destroy()
      await clock.advance(100)
      return texts.map(text => /\d{3}/.exec(text)?.[0] ?? '')
    }
    expect(await answers('10.0.0.5', number => `203.0.113.${number}`)).toEqual(['200', '200', '200', '200', '200'])
    expect(await answers('10.0.0.5', () => '203.0.113.9')).toEqual(['200', '200', '503', '503', '503'])
    // A proxy that names no clients is one.
    expect(await answers('10.0.0.5', () => '')).toEqual(['200', '200', '503', '503', '503'])
    expect(await answers('203.0.113.1', () => '')).toEqual(['200', '200', '503', '503', '503'])
    await clock.runUntil(app.close({ timeout: 100 }))
  })
})

test('trustProxy refuses an entry that is neither address nor subnet', async () => {
  for (const proxy of ['example.com', '10.0.0.0/33', '10.0.0.0/x', '::1/129', '', '10.0.0']) {
    await expect(serve(() => 'x', { trustProxy: [proxy] })).rejects.toMatchObject({ code: 'bad-option' })
  }
})
