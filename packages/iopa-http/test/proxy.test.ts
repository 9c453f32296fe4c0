import { describe, expect, test } from 'vitest'
import type { HttpOptions } from '../src/index.ts'
import { ask, parse, serve } from './support.ts'

const seen = async (fields: string, options: HttpOptions = {}): Promise<unknown> => {
  const { port } = await serve(context => [context.remoteAddress, context.scheme, context['server.TLS'], context.host, context.port], options)
  const answer = parse(await ask(port, `GET / HTTP/1.1\r\nHost: localhost:99\r\n${fields}Connection: close\r\n\r\n`))
  return answer.status === 200 ? JSON.parse(answer.body) : answer.status
}

const address = async (fields: string, options: HttpOptions): Promise<unknown> => ((await seen(fields, options)) as unknown[])[0]

const forwarded = 'X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: lights.example\r\n'
const direct = ['127.0.0.1', 'http', false, 'localhost', 99]

describe('without trustProxy', () => {
  test('nothing of what is forwarded is believed', async () => {
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

  test('what is not forwarded stays as it is', async () => {
    expect(await seen('', options)).toEqual(direct)
    expect(await seen('X-Forwarded-Proto: gopher\r\n', options)).toEqual(direct)
  })

  test('the client is the last address that is no proxy, whatever it has written before', async () => {
    expect(await address('X-Forwarded-For: 1.2.3.4, 203.0.113.7, 10.0.0.5\r\n', options)).toBe('203.0.113.7')
    expect(await address('X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-For: 203.0.113.7\r\nX-Forwarded-For: 10.0.0.5\r\n', options)).toBe('203.0.113.7')
    expect(await address('X-Forwarded-For: 10.0.0.4, 10.0.0.5\r\n', options)).toBe('10.0.0.4')
  })

  test('of lists to which each proxy has added, the entry of the outermost trusted one counts', async () => {
    const fields =
      'X-Forwarded-For: 1.2.3.4, 203.0.113.7, 10.0.0.5\r\nX-Forwarded-Proto: http, https, http\r\nX-Forwarded-Host: evil.example, lights.example, inner.example\r\n'
    expect(await seen(fields, options)).toEqual(['203.0.113.7', 'https', true, 'lights.example', 443])
  })

  test('addresses may have ports, brackets and forms of IPv6', async () => {
    expect(await address('X-Forwarded-For: 203.0.113.7:4711\r\n', options)).toBe('203.0.113.7')
    expect(await address('X-Forwarded-For: [2001:db9::1]:4711\r\n', options)).toBe('2001:db9::1')
    expect(await address('X-Forwarded-For: ::ffff:203.0.113.7, 2001:db8::1\r\n', options)).toBe('203.0.113.7')
  })

  test('what is no address ends the chain', async () => {
    expect(await address('X-Forwarded-For: 203.0.113.7, unknown, 10.0.0.5\r\n', options)).toBe('10.0.0.5')
    expect(await address('X-Forwarded-For: <script>\r\n', options)).toBe('127.0.0.1')
  })

  test('the forwarded host is held against hosts, and must be one', async () => {
    const rules = { trustProxy: ['loopback'], hosts: ['lights.example'] }
    expect(await address(forwarded, rules)).toBe('203.0.113.7')
    expect(await seen('X-Forwarded-Host: evil.example\r\n', rules)).toBe(421)
    expect(await seen('X-Forwarded-Host: a/b\r\n', options)).toBe(400)
  })

  test('the forwarded host is held against hosts in HTTP/1.0 too, with a Host header or without', async () => {
    const { port } = await serve(context => context.host, { trustProxy: ['loopback'], hosts: ['lights.example'] })
    const ask10 = async (target: string, fields: string) => parse(await ask(port, `GET ${target} HTTP/1.0\r\n${fields}\r\n`))
    for (const host of ['', 'Host: lights.example\r\n']) {
      expect((await ask10('/', `${host}X-Forwarded-Host: evil.example\r\n`)).status).toBe(421)
      expect((await ask10('/', `${host}X-Forwarded-Host: lights.example\r\n`)).body).toBe('lights.example')
    }
    expect((await ask10('http://evil.example/', 'X-Forwarded-For: 203.0.113.7\r\n')).status).toBe(421)
    expect((await ask10('http://lights.example/', 'X-Forwarded-For: 203.0.113.7\r\n')).body).toBe('lights.example')
  })

  test('requests of many clients inherit nothing from their connection', async () => {
    const { port } = await serve(context => String(context.connection), options)
    expect(parse(await ask(port, 'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')).body).toBe('null')
  })
})

test('trustProxy refuses what is no address and no subnet', async () => {
  for (const proxy of ['example.com', '10.0.0.0/33', '10.0.0.0/x', '::1/129', '', '10.0.0']) {
    await expect(serve(() => 'x', { trustProxy: [proxy] })).rejects.toMatchObject({ code: 'bad-proxy' })
  }
})
