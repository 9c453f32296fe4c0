import { App, IopaError } from '@iopa/appbuilder'
import { log } from '@iopa/log'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { virtualClock } from '@iopa/testing'
import { expect, test } from 'vitest'
import { kept } from './destination.ts'

const lineOf = async (bag: Parameters<App['invoke']>[0], options: Parameters<typeof log>[0] = {}): Promise<string> => {
  const out = kept()
  const app = new App({ logger: false }).use(log({ to: out.to, ...options })).use(context => {
    context.user = { id: 'eve\r\n{"level":"info"}\u001b[2J' }
    return 'ok'
  })
  await app.invoke(bag)
  return out.lines[0] as string
}

const evil = 'a\r\nb\u0000\u001b[31m\u007f\u009b\u2028\u2029\u202e"\\'
const RAW = /[\u0000-\u001f\u007f-\u009f\u2028-\u202e]/

test.each(['json', 'pretty'] as const)('escapes control characters of paths, header fields and user ids in %s', async format => {
  const line = await lineOf(
    { 'iopa.Path': '/x', 'server.RawPath': `/${evil}`, 'iopa.QueryString': evil, 'iopa.Headers': { 'user-agent': 'x\u009by' } } as never,
    { format, headers: ['user-agent'], fields: () => ({ [evil]: evil }) }
  )
  expect(line).not.toMatch(RAW)
  if (format === 'json') expect(JSON.parse(line)).toMatchObject({ query: evil, user: 'eve\r\n{"level":"info"}\u001b[2J' })
})

test('bounds the length of texts', async () => {
  const line = await lineOf({ 'iopa.Path': '/', 'iopa.QueryString': 'x'.repeat(100_000) })
  expect(line.length).toBeLessThan(3000)
})

test('hides tokens in queries, however their names are written', async () => {
  const line = await lineOf(
    {
      'iopa.Path': '/',
      'iopa.QueryString': 'access_token=S1&API-KEY=S2&acc%65ss_token=S3&page=2&key&pin=S4&token[]=S5&user%5Bpassword%5D=S6&user.otp=S7&list[]=1'
    },
    { redact: ['query.pin'] }
  )
  expect(line).not.toMatch(/S\d/)
  expect(JSON.parse(line).query).toContain('page=2')
})

test('hides header fields, fields and paths within further fields', async () => {
  const device = { serial: 'S1', name: 'lamp' }
  const line = await lineOf(
    { 'iopa.Path': '/', 'iopa.Headers': { authorization: 'S2', cookie: 'S3', 'x-tenant': 'S4', accept: 'text/html' } },
    {
      headers: ['authorization', 'cookie', 'x-tenant', 'accept'],
      redact: ['headers.x-tenant', 'device.serial', 'user'],
      fields: () => ({ device })
    }
  )
  expect(line).not.toMatch(/S\d|\beve\b/)
  expect(JSON.parse(line)).toMatchObject({ headers: { accept: 'text/html' }, device: { name: 'lamp', serial: '[hidden]' }, user: '[hidden]' })
  expect(device.serial).toBe('S1')
})

test('hides all header fields, and refuses to hide what makes a line a line', async () => {
  const line = await lineOf({ 'iopa.Path': '/', 'iopa.Headers': { accept: 'S1' } }, { headers: ['accept', 'x-none'], redact: ['headers'] })
  expect(JSON.parse(line).headers).toEqual({ accept: '[hidden]' })
  for (const name of ['level', 'time', 'event', 'status', 'bytes', 'duration'])
    expect(() => log({ redact: [name] })).toThrow(expect.objectContaining({ code: 'bad-option', detail: expect.stringContaining(name) }))
})

test('further fields replace none of a line, and texts of a peer are one word, also for people', async () => {
  const fields = () => ({ user: 'admin', status: 599, level: 'error', 'a b': 1 })
  const line = await lineOf({ 'iopa.Path': '/', 'server.RawPath': '/x 200 user=ann' } as never, { format: 'pretty', fields })
  expect(line).toMatch(/^\S+ 200 GET "\/x 200 user=ann" 2 B [\d.]+ ms user="eve\S+ IOPA\/5\.0 "a b"=1$/)
})

test('a flood of failures becomes a summary a second', async () => {
  const clock = virtualClock()
  const out = kept()
  const app = new App({ clock, logger: false }).use(log({ to: out.to, perSecond: 5 })).use(({ path }) => {
    throw path === '/429' ? new IopaError(429, 'slow', 'No.') : new Error('broken')
  })
  for (let at = 0; at < 100; at++) await app.invoke({ 'iopa.Path': at % 2 === 0 ? '/429' : '/500' })
  expect(out.of('request')).toHaveLength(10)
  await clock.advance(1000)
  expect(out.of('summary')).toMatchObject([
    { of: 'request', status: 429, code: 'slow', count: 45, addresses: 'unknown' },
    { of: 'request', status: 500, code: 'internal-error', count: 45 }
  ])
  await clock.advance(5000)
  expect(out.of('summary')).toHaveLength(2)
  await app.close()
})

test('many kinds of failures are counted together', async () => {
  const clock = virtualClock()
  const out = kept()
  const app = new App({ clock, logger: false }).use(log({ to: out.to, perSecond: 1 })).use(({ path }) => {
    throw new IopaError(500, `code-${path.slice(1)}`, 'No.')
  })
  for (let at = 0; at < 500; at++) await app.invoke({ 'iopa.Path': `/${at}` })
  expect(out.of('request')).toHaveLength(65)
  await clock.advance(1000)
  expect(out.of('summary')).toMatchObject([{ of: 'other', count: 435 }])
  await app.close()
})

test('a stream that does not keep up loses lines, and says how many', async () => {
  const written: string[] = []
  const stream = { writableLength: 0, write: (line: string) => void written.push(line) }
  const app = new App({ logger: false }).use(log({ to: stream })).use(() => 'ok')
  await app.invoke({ 'iopa.Path': '/1' })
  stream.writableLength = 2 ** 21
  await app.invoke({ 'iopa.Path': '/2' })
  stream.writableLength = 0
  await app.invoke({ 'iopa.Path': '/3' })
  expect(written.map(line => JSON.parse(line)).map(({ path, of, count }) => path ?? `${of} ${count}`)).toEqual(['/1', 'lost 1', '/3'])
  expect(written.every(line => line.endsWith('}\n'))).toBe(true)
})

test.each(['fields', 'skip'])("writes the line where '%s' throws, for CONNECT and observations too, and says so once", async option => {
  const out = kept()
  const said: string[] = []
  const quiet = (): void => undefined
  const app = new App({ logger: { error: (text: unknown) => void said.push(String(text)), warn: quiet, info: quiet, debug: quiet } })
    .use(
      log({
        to: out.to,
        [option]: () => {
          throw new TypeError('no user')
        }
      })
    )
    .use(router())
    .use(mqtt({ port: 0 }))
  app.get('/n', () => 'n')
  const [broker] = await app.listen()
  await app.invoke({ 'iopa.Path': '/n' })
  const client = await app.connect(broker?.url.href as string)
  const ends = new AbortController()
  const seen = client.observe('/n', { signal: ends.signal })[Symbol.asyncIterator]()
  await seen.next()
  ends.abort()
  await seen.next().catch(() => undefined)
  await client.close()
  await app.close()
  expect(out.records.map(({ event, method }) => `${event} ${method}`)).toEqual(
    expect.arrayContaining(['request GET', 'request CONNECT', 'observation-begun GET', 'observation-ended GET'])
  )
  expect(said).toEqual([expect.stringContaining(`'${option}' of log()`)])
  expect(app.live).toBe(0)
})

test('a destination that rejects does not end the process', async () => {
  const app = new App({ logger: false }).use(log({ to: () => Promise.reject(new Error('full')) })).use(() => 'ok')
  expect((await app.invoke({ 'iopa.Path': '/' })).status).toBe(200)
  // An unhandled rejection would fail this file.
  await new Promise(resolve => setImmediate(resolve))
})
