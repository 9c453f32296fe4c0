import { Writable } from 'node:stream'
import { App } from '@iopa/appbuilder'
import { type LogOptions, log } from '@iopa/log'
import { pino } from 'pino'
import { expect, test } from 'vitest'

const collector = () => {
  let text = ''
  const stream = new Writable({
    write: (chunk, _, done) => {
      text += String(chunk)
      done()
    }
  })
  return { stream, lines: () => text.trimEnd().split('\n') }
}

const run = async (options: LogOptions, logger: ConstructorParameters<typeof App>[0] = { logger: false }) => {
  const app = new App(logger).use(log(options)).use(() => 'ok')
  await app.invoke({ 'iopa.Path': '/a' })
  await app.close()
}

test('writes to a stream', async () => {
  const { stream, lines } = collector()
  await run({ to: stream })
  expect(JSON.parse(lines()[0] as string)).toMatchObject({ event: 'request', path: '/a' })
})

test('gives pino an object, which it writes by itself', async () => {
  const { stream, lines } = collector()
  await run({ to: pino(stream) })
  const line = JSON.parse(lines()[0] as string)
  expect(line).toMatchObject({ level: 30, event: 'request', path: '/a', status: 200 })
  expect((lines()[0] as string).match(/"time"/g)).toHaveLength(1)
})

test('what pino gets is bounded and plain, and further fields replace none of its own', async () => {
  const { stream, lines } = collector()
  const app = new App({ logger: false })
    .use(log({ to: pino(stream), headers: ['accept'], fields: () => ({ level: 60, time: 1, count: 2, status: 599, own: 'a\u202eb' }) }))
    .use(() => 'ok')
  await app.invoke({ 'iopa.Path': '/', 'iopa.QueryString': 'x'.repeat(5000), 'iopa.Headers': { accept: 'a\u009bb' } })
  const line = lines()[0] as string
  expect(line.match(/"(level|time)":/g)).toHaveLength(2)
  expect(line).not.toMatch(/[\u0080-\u009f\u202e]/)
  expect(JSON.parse(line)).toMatchObject({ level: 30, status: 200, headers: { accept: 'a\\u009bb' }, own: 'a\\u202eb' })
  expect(JSON.parse(line)).not.toHaveProperty('count')
  expect(JSON.parse(line).query).toHaveLength(2051)
})

test('writes to the logger of the app by default', async () => {
  const said: unknown[][] = []
  const logger = { info: (...data: unknown[]) => void said.push(data), warn: () => {}, error: () => {}, debug: () => {} }
  await run({ format: 'json' }, { logger })
  expect(said).toHaveLength(1)
  expect(JSON.parse(String(said[0]?.[0]))).toMatchObject({ path: '/a' })
})

test('writes for people in the format pretty', async () => {
  const { stream, lines } = collector()
  await run({ to: stream, format: 'pretty' })
  expect(lines()[0]).toMatch(/^\d\d:\d\d:\d\d\.\d{3} 200 GET \/a 2 B [\d.]+ ms IOPA\/5\.0$/)
})

test.each([{ to: 1 }, { format: 'xml' }, { sample: 2 }, { perSecond: 0 }] as never[])('refuses the option %j', options => {
  expect(() => log(options)).toThrow(expect.objectContaining({ code: 'bad-option' }))
})
